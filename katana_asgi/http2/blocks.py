"""Header blocks: put together from frames, then decoded (RFC 9113 §4.3, §6.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.codec import decode_fields
from katana_asgi.codec.hpack import STATIC_TABLE
from katana_asgi.http2.abuse import BLOCK_FACTOR, MAX_CONTINUATIONS
from katana_asgi.http2.faults import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault
from katana_asgi.http2.heads import EXAMINED
from katana_asgi.http2.settings import HEADER_TABLE_SIZE

if TYPE_CHECKING:
    from katana_asgi.codec import Field
    from katana_asgi.codec.hpack import Decoded
    from katana_asgi.http2.settings import Http2Settings

__all__ = ["BlockReader", "PartialBlock"]


class PartialBlock:
    """A header block whose last frame has not come yet."""

    __slots__ = ("_continuations", "_left", "_parts", "end_stream", "stream")

    def __init__(self, stream: int, end_stream: bool, fragment: bytes, longest: int) -> None:
        self.stream = stream
        self.end_stream = end_stream
        self._parts = [fragment]
        self._left = longest - len(fragment)
        self._continuations = 0

    def add(self, fragment: bytes) -> None:
        """Take the fragment of a CONTINUATION frame."""
        self._parts.append(fragment)
        self._left -= len(fragment)
        self._continuations += 1
        if self._left < 0 or self._continuations > MAX_CONTINUATIONS:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "header block without an end")

    def joined(self) -> bytes:
        """The whole block."""
        return b"".join(self._parts)


class BlockReader:
    """The decoder of a connection: its dynamic table, and the block that is being received."""

    __slots__ = ("_capacity", "_entries", "_settings", "_size", "partial")

    def __init__(self, settings: Http2Settings) -> None:
        self._settings = settings
        self._entries: list[Field] = []
        self._size = 0
        self._capacity = HEADER_TABLE_SIZE
        self.partial: PartialBlock | None = None

    def begin(self, stream: int, end_stream: bool, fragment: bytes) -> None:
        """A HEADERS frame came that does not end its block."""
        longest = BLOCK_FACTOR * self._settings.limit_header_size
        self.partial = PartialBlock(stream, end_stream, fragment, longest)

    def decode(self, block: bytes) -> Decoded:
        """Decode a whole block; every block has to be, or the table falls out of step."""
        settings = self._settings
        try:
            decoded = decode_fields(
                block,
                STATIC_TABLE,
                EXAMINED,
                self._entries,
                self._size,
                self._capacity,
                HEADER_TABLE_SIZE,
                settings.limit_header_size,
                settings.limit_header_count,
            )
        except ValueError as error:
            raise ConnectionFault(COMPRESSION_ERROR, str(error)) from None
        self._size, self._capacity = decoded[5], decoded[6]
        return decoded
