"""What a WebSocket says: messages, control frames, and the breach that ends it.

A message is its content: ``str`` for text, ``bytes`` for binary. The other events are
the small classes below. Close codes are those of RFC 6455 §7.4 and the IANA registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from katana_asgi.errors import LocalProtocolError, ProtocolError

__all__ = [
    "INVALID_DATA",
    "PROTOCOL_ERROR",
    "TOO_BIG",
    "Close",
    "Event",
    "Ping",
    "Pong",
    "WebSocketError",
    "close_content",
    "is_close_code",
    "parse_close",
]

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

MAX_CONTROL: Final = 125
"""Bytes that a control frame carries at most (RFC 6455 §5.5)."""


class WebSocketError(ProtocolError):
    """The peer broke RFC 6455 or RFC 7692, or sent more than a limit allows.

    ``code`` and ``reason`` belong in the close frame that answers it.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame; a pong with the same content is owed (RFC 6455 §5.5.2)."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong frame, asked for or not (RFC 6455 §5.5.3)."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame (RFC 6455 §5.5.1); ``code`` is ``None`` where it carried none."""

    code: int | None
    reason: str = ""


Event: TypeAlias = str | bytes | Ping | Pong | Close | WebSocketError
"""``str`` and ``bytes`` are whole messages; ``Close`` and ``WebSocketError`` come last."""


def is_close_code(code: int) -> bool:
    """Whether ``code`` may stand in a close frame.

    1004 to 1006 and 1015 never do (RFC 6455 §7.4.1); the rest below 3000 is not assigned.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def parse_close(content: bytes) -> Close:
    """The close frame whose unmasked content is ``content``.

    Raises ``WebSocketError``: 1002 for one byte or a code that may not be sent, 1007 for a
    reason that is not UTF-8.
    """
    if not content:
        return Close(None)
    if len(content) == 1:
        raise WebSocketError(PROTOCOL_ERROR, "close frame of one byte")
    code = int.from_bytes(content[:2], "big")
    if not is_close_code(code):
        raise WebSocketError(PROTOCOL_ERROR, "invalid close code")
    try:
        return Close(code, content[2:].decode())
    except UnicodeDecodeError:
        raise WebSocketError(INVALID_DATA, "close reason is not UTF-8") from None


def close_content(code: int | None, reason: str) -> bytes:
    """What a close frame with ``code`` and ``reason`` carries; empty for ``None``.

    Raises ``LocalProtocolError`` for a code that may not be sent, a reason without a code,
    and a reason that is longer than 123 bytes of UTF-8 or cannot be encoded.
    """
    if code is None:
        if reason:
            raise LocalProtocolError("a close reason needs a close code")
        return b""
    if not is_close_code(code):
        raise LocalProtocolError(f"close code {code} may not be sent")
    try:
        content = code.to_bytes(2, "big") + reason.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("close reason cannot be encoded as UTF-8") from None
    if len(content) > MAX_CONTROL:
        raise LocalProtocolError("close reason is longer than 123 bytes")
    return content
