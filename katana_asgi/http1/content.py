"""Request content off the wire: counted by Content-Length, or chunk-coded (RFC 9112 §6, §7.1).

The chunked decoder's states::

    SIZE ──size > 0──▶ DATA ──all read──▶ DATA_END ──CRLF──▶ SIZE
      └──size = 0──▶ TRAILERS ──empty line──▶ complete
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from katana_asgi.codec.heads import check_field_bytes
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import FORBIDDEN_IN_TRAILERS, TOKEN

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
    """What the reader needs of a message's framing."""

    @property
    def remaining(self) -> int | None:
        """Content bytes still to come; ``None`` where the framing does not tell."""

    @property
    def complete(self) -> bool:
        """Whether the message is complete."""

    @property
    def begun(self) -> bool:
        """Whether anything of it has come."""

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Take bytes from ``start`` on; returns content, and where what follows the message
        begins (the end of ``data`` where the message is not complete).

        Raises ``RemoteProtocolError`` for framing that RFC 9112 does not allow.
        """


class CountedContent:
    """Content of a known length (RFC 9112 §6.2)."""

    __slots__ = ("_length", "remaining")

    def __init__(self, length: int) -> None:
        self._length = self.remaining = length

    @property
    def complete(self) -> bool:
        return not self.remaining

    @property
    def begun(self) -> bool:
        return self.remaining != self._length

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        size = len(data)
        end = min(size, start + self.remaining)
        self.remaining -= end - start
        return (data if end - start == size else data[start:end]), end


_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3


class ChunkedContent:
    """Chunk-coded content, strictly: CRLF only, hexadecimal digits only (RFC 9112 §7.1)."""

    __slots__ = ("_buffer", "_extensions", "_left", "_state", "_trailers", "begun", "complete")

    remaining: int | None = None

    def __init__(self) -> None:
        self.begun = False
        self.complete = False
        self._buffer = b""  # an incomplete line or line end; bounded by the limits above
        self._state = _SIZE
        self._left = 0
        self._extensions = 0
        self._trailers = 0

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        self.begun = True
        before = len(self._buffer)
        if before:
            data = self._buffer + data[start:]
            self._buffer = b""
            position, shift = 0, start - before
        else:
            position, shift = start, 0
        # One piece for all chunks of a read: a chunk of a byte must not cost a hundred.
        pieces: list[bytes] = []
        end = self._decode(data, position, pieces)
        return b"".join(pieces), end + shift

    def _decode(self, data: bytes, position: int, pieces: list[bytes]) -> int:
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
                    return size
                position += 2
                self._state = _SIZE
            else:
                line_end = data.find(b"\n", position)
                if line_end < 0:
                    self._wait_for_line(data[position:])
                    return size
                line = data[position : line_end + 1]
                position = line_end + 1
                if self._line(line):
                    self.complete = True
                    return position
        return size

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
