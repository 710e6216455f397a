"""Request content off the wire: counted by Content-Length, or chunk-coded (RFC 9112 §6, §7.1).

``feed`` hands content to the sink. It returns ``None`` while more is to come, and the bytes
that follow the message once it is complete. The chunked decoder's states::

    SIZE ──size > 0──▶ DATA ──all read──▶ DATA_END ──CRLF──▶ SIZE
      └──size = 0──▶ TRAILERS ──empty line──▶ complete
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import FORBIDDEN_IN_TRAILERS, TOKEN
from katana_asgi.http1.head import check_field_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChunkedContent", "ContentDecoder", "CountedContent"]

MAX_CHUNK_LINE: Final = 1024
"""Against a chunk extension that never ends; real ones are a few bytes."""

MAX_EXTENSIONS: Final = 16 * 1024
"""Against many small chunks, each with a long extension (CVE-2023-39326), per message."""

MAX_TRAILERS: Final = 16 * 1024
"""Against a trailer section used as unlimited memory, per message."""

_EXTENSION: Final = (
    rb'[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?'
    % (TOKEN, TOKEN)
)
_match_chunk_line: Final = re.compile(rb"([0-9A-Fa-f]{1,16})((?:%b)*)" % _EXTENSION).fullmatch
_match_field_name: Final = re.compile(rb"(%b):" % TOKEN).match


class ContentDecoder(Protocol):
    """What the parser needs of a message's framing."""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return what follows the message once it is complete."""


class CountedContent:
    """Content of a known length (RFC 9112 §6.2)."""

    __slots__ = ("_deliver", "remaining")

    def __init__(self, deliver: Callable[[bytes], None], length: int) -> None:
        self._deliver = deliver
        self.remaining = length

    def feed(self, data: bytes) -> bytes | None:
        remaining = self.remaining = self.remaining - len(data)
        if remaining > 0:
            self._deliver(data)
            return None
        if remaining == 0:
            self._deliver(data)
            return b""
        self.remaining = 0
        self._deliver(data[:remaining])
        return data[remaining:]


_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3


class ChunkedContent:
    """Chunk-coded content, strictly: CRLF only, hexadecimal digits only (RFC 9112 §7.1)."""

    __slots__ = ("_buffer", "_deliver", "_extensions", "_left", "_state", "_trailers")

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._buffer = b""  # an incomplete line or line end; bounded by the limits above
        self._state = _SIZE
        self._left = 0
        self._extensions = 0
        self._trailers = 0

    def feed(self, data: bytes) -> bytes | None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        try:
            return self._decode(data, pieces)
        finally:
            # One piece for all chunks of a read: a chunk of a byte must not cost a hundred.
            if pieces:
                self._deliver(b"".join(pieces))

    def _decode(self, data: bytes, pieces: list[bytes]) -> bytes | None:
        position = 0
        size = len(data)
        while position < size:
            if self._state == _DATA:
                end = min(position + self._left, size)
                pieces.append(data[position:end])
                self._left -= end - position
                position = end
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                if not data.startswith(b"\r\n", position):
                    self._wait_for_line_end(data[position:])
                    return None
                position += 2
                self._state = _SIZE
            else:
                line_end = data.find(b"\n", position)
                if line_end < 0:
                    self._wait_for_line(data[position:])
                    return None
                line = data[position : line_end + 1]
                position = line_end + 1
                if self._line(line):
                    return data[position:]
        return None

    def _wait_for_line_end(self, rest: bytes) -> None:
        if rest != b"\r":
            raise RemoteProtocolError("chunk data is longer than its size")
        self._buffer = rest

    def _wait_for_line(self, rest: bytes) -> None:
        if len(rest) > (MAX_CHUNK_LINE if self._state == _SIZE else MAX_TRAILERS):
            raise RemoteProtocolError("chunk extension or trailer field too long")
        if b"\r" in rest[:-1]:
            raise RemoteProtocolError("bare CR in chunked framing")
        self._buffer = rest

    def _line(self, line: bytes) -> bool:
        """Take a chunk-size line or a trailer line; say whether the message is complete."""
        if self._state == _SIZE:
            self._size_line(line)
            return False
        return self._trailer_line(line)

    def _size_line(self, line: bytes) -> None:
        match = _match_chunk_line(line[:-2]) if line[-2:] == b"\r\n" else None
        if match is None or len(line) > MAX_CHUNK_LINE:
            raise RemoteProtocolError("invalid chunk size line")
        self._extensions += len(match[2])
        if self._extensions > MAX_EXTENSIONS:
            raise RemoteProtocolError("too many chunk extensions")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS

    def _trailer_line(self, line: bytes) -> bool:
        """Trailers are checked and dropped: ASGI has no place for those of a request."""
        if line == b"\r\n":
            return True
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise RemoteProtocolError("trailer section too large", 431)
        match = _match_field_name(line)
        if match is None or line[-2:] != b"\r\n":
            raise RemoteProtocolError("invalid trailer field")
        check_field_bytes(line)
        if match[1].lower() in FORBIDDEN_IN_TRAILERS:
            raise RemoteProtocolError("forbidden trailer field")
        return False
