"""Frames written by hand, and an echo endpoint that turns events back into bytes.

Nothing here uses the code under test to make the bytes that are fed to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.testing import masked
from katana_asgi.testing.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    exclusive_or,
    length_field,
)
from katana_asgi.websocket.codec import Close, FrameCodec, Ping, Pong, WebSocketError

if TYPE_CHECKING:
    from collections.abc import Iterator
__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "Echo",
    "closing",
    "cuts",
    "exclusive_or",
    "fragments",
    "masked",
    "plain",
]


def plain(opcode: int, content: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as a server sends it."""
    return bytes([fin << 7 | rsv << 4 | opcode]) + length_field(len(content), 0) + content


def closing(code: int, reason: bytes = b"") -> bytes:
    """The content of a close frame."""
    return code.to_bytes(2, "big") + reason


def fragments(
    opcode: int, content: bytes, size: int, *, rsv: int = 0, key: bytes = MASK
) -> list[bytes]:
    """A message as masked frames of ``size`` bytes."""
    parts = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    return [
        masked(
            CONTINUATION if index else opcode,
            part,
            fin=index == len(parts) - 1,
            rsv=0 if index else rsv,
            key=key,
        )
        for index, part in enumerate(parts)
    ]


def cuts(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` in reads of ``size`` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


class Echo:
    """A server that echoes messages, answers pings, and closes as the peer or a breach asks."""

    def __init__(self, codec: FrameCodec | None = None) -> None:
        self.codec = codec or FrameCodec()

    def receive(self, *reads: bytes) -> bytes:
        """What the server writes in answer to ``reads``."""
        return b"".join(self._answer(event) for read in reads for event in self.codec.feed(read))

    def _answer(self, event: object) -> bytes:
        codec = self.codec
        match event:
            case str():
                return codec.encode_text(event)
            case bytes():
                return codec.encode_binary(event)
            case Ping(content):
                return codec.encode_pong(content)
            case Pong():
                return b""
            case Close(code, reason):
                return codec.encode_close(code, reason)
            case WebSocketError():
                return codec.encode_close(event.code, event.reason)
        raise AssertionError(f"unknown event {event!r}")
