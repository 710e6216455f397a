"""One message on its way in: frames and parts of frames, judged as they come.

Text is checked for UTF-8 with every part, so that a bad byte is known before the message
is whole; compressed content is inflated with every part, never beyond the size limit.
"""

from __future__ import annotations

from codecs import utf_8_decode
from typing import TYPE_CHECKING, Final

from katana_asgi.websocket.events import INVALID_DATA, TOO_BIG, WebSocketError

if TYPE_CHECKING:
    from katana_asgi.websocket.deflate import Deflate

__all__ = ["IncomingMessage", "invalid_text", "too_big"]

MAX_PARTS: Final = 256
"""Against a peer that sends a byte at a time: more parts than this are joined into one."""


def invalid_text() -> WebSocketError:
    """RFC 6455 §8.1: text that is not UTF-8 fails the connection."""
    return WebSocketError(INVALID_DATA, "text is not UTF-8")


def too_big() -> WebSocketError:
    """RFC 6455 §7.4.1: a message beyond the limit."""
    return WebSocketError(TOO_BIG, "message is too big")


class IncomingMessage:
    """A message that did not arrive in one plain frame in one read.

    ``deflate`` inflates the content, or is ``None``; ``limit`` is in bytes of the message.
    ``announced`` counts the bytes that frame heads promised, ``frames`` those heads. Of the
    current frame, ``left`` bytes are still to come, ``final`` says that it ends the message,
    and ``key`` is its masking key, turned to the next byte.
    """

    __slots__ = (
        "_incomplete",
        "_joined",
        "_limit",
        "_parts",
        "_size",
        "announced",
        "deflate",
        "final",
        "frames",
        "key",
        "left",
        "text",
    )

    def __init__(self, text: bool, deflate: Deflate | None, limit: int) -> None:
        self.text = text
        self.deflate = deflate
        self.announced = 0
        self.frames = 0
        self.left = 0
        self.final = False
        self.key = b""
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []
        self._joined = bytearray()
        self._incomplete = b""
        if deflate is not None:
            deflate.begin_message()

    def begin_frame(self, length: int, final: bool, key: bytes) -> None:
        """A frame of ``length`` bytes follows, masked with ``key``."""
        self.announced += length
        self.frames += 1
        self.left = length
        self.final = final
        self.key = key

    def add(self, part: bytes) -> None:
        """Take the next part of the content; more will follow.

        Raises ``WebSocketError``: 1007 for bad UTF-8 or bad compressed data, 1009 too big.
        """
        if self.deflate is not None:
            part = self._inflate(self.deflate, part, last=False)
        if self.text:
            self._check_text(part)
        if part:
            self._parts.append(part)
        if len(self._parts) > MAX_PARTS:
            self._joined += b"".join(self._parts)
            self._parts.clear()

    def finish(self, part: bytes) -> str | bytes:
        """Take the last part and give the whole message; raises what ``add`` raises."""
        if self.deflate is not None:
            part = self._inflate(self.deflate, part, last=True)
        content = b"".join((self._joined, *self._parts, part))
        if not self.text:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise invalid_text() from None

    def _inflate(self, deflate: Deflate, part: bytes, last: bool) -> bytes:
        room = self._limit - self._size
        inflated = deflate.inflate(part, room, last)
        if len(inflated) > room:
            # What fits is judged first, so that the verdict is the same however reads fall (but
            # for data that are broken behind it: zlib tells that before it gives what was good).
            if self.text:
                self._check_text(inflated[:room])
            raise too_big()
        self._size += len(inflated)
        return inflated

    def _check_text(self, part: bytes) -> None:
        """RFC 6455 §8.1, as early as a byte can be known to be wrong."""
        if not self._incomplete and part.isascii():
            return
        data = self._incomplete + part
        try:
            _, used = utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            raise invalid_text() from None
        rest = data[used:]
        # The decoder waits for the third byte of a surrogate, which nothing can make valid.
        if len(rest) == 2 and rest[0] == 0xED and rest[1] >= 0xA0:
            raise invalid_text()
        self._incomplete = rest
