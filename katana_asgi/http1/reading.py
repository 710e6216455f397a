"""The reading half of an HTTP/1.1 connection: bytes to heads and content (RFC 9112 §2).

It gathers a whole head, whatever the reads were, so the way the bytes were split cannot change
what is accepted. The connection asks for one request at a time and for its content; what follows
is held meanwhile: that keeps pipelined responses in order and memory bounded. It owns what
comes in, and whether the transport is read at all.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.codec import scan_head
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http1.beginning import HEAD_END, PREFACE, HeadBeginning, skip_empty_lines
from katana_asgi.http1.content import ChunkedContent, ContentDecoder, CountedContent
from katana_asgi.net.pace import BodyPace
from katana_asgi.net.proxy_protocol import is_proxy_header

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.scanning import NextScanner
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["OtherProtocol", "RequestReader"]

MISSES: Final = 4
"""Different heads in a row after which a connection is not one that repeats itself. Until then the
last head is compared with the next: health checks and simple clients send the same bytes again."""


class OtherProtocol(RemoteProtocolError):
    """The client speaks HTTP/2; its bytes are held."""


class RequestReader:
    """Turns the bytes of one connection into requests, one after the other.

    ``framing`` are the bits of the present request's framing (see ``codec``). ``complete`` says
    that all of it has come, ``more`` that bytes were read and not used yet. After a
    ``RemoteProtocolError`` it is of no further use.
    """

    __slots__ = (
        "_beginning",
        "_content",
        "_data",
        "_length",
        "_misses",
        "_pace",
        "_settings",
        "_size",
        "_start",
        "_transport",
        "complete",
        "framing",
        "last",
        "more",
        "paused",
    )

    def __init__(self, settings: Http1Settings) -> None:
        self._settings = settings
        self._data = b""  # read, and not used yet from ...
        self._start = 0  # ... here on
        self._beginning: HeadBeginning | None = None  # of a head that has not come whole
        # The last read that was one head, and what it was parsed to; kept where it was as long as
        # the one before, so that most idle connections hold none.
        self.last: tuple[bytes, tuple[RequestHead, int, int]] | None = None
        self._size = 0  # of the last such read
        self._misses = 0  # reads in a row that were not the last one again
        self._length: int | None = 0  # of the content; None: unknown
        self._content: ContentDecoder | None = None  # reads it, once it has begun to come
        self._pace: BodyPace | None = None
        self._transport: asyncio.Transport | None = None
        self.complete = True
        self.framing = 0
        self.more = False
        self.paused = False

    def connected(self, transport: asyncio.Transport) -> None:
        """The connection has its transport."""
        self._transport = transport

    # -- bytes ---------------------------------------------------------------------------------

    def add(self, data: bytes) -> None:
        """Bytes were read."""
        if self.more:
            data = self._data[self._start :] + data
        self._data = data
        self._start = 0
        self.more = True

    @property
    def held(self) -> int:
        """Bytes that were read and not used yet."""
        return len(self._data) - self._start

    @property
    def fresh(self) -> bool:
        """Whether not a byte of a further request has come."""
        return not self.more and self._beginning is None

    def take_held(self) -> bytes:
        """Give away what is held: another protocol goes on from here."""
        data = self._data[self._start :] if self._start else self._data
        self._forget()
        return data

    def _forget(self) -> None:
        """All that was read is used."""
        self._data = b""
        self._start = 0
        self.more = False

    # -- heads ---------------------------------------------------------------------------------

    def next_head(self) -> RequestHead | None:
        """The next request head, or ``None`` where it has not come whole.

        Raises ``RemoteProtocolError``.
        """
        if self._beginning is not None:
            return self._next_gathered()
        data, start, settings = self._data, self._start, self._settings
        scan = settings.scan_next
        if scan is None or not self.more:
            return self._next_found()
        if start or self._misses == MISSES:
            line, size, count = settings.head_limits
            found = scan(data, start, line, size, count)
        else:
            found = self._remembered(data, scan)
        if found is None:
            return self._next_found()
        head, self.framing, end = found
        if end == len(data):
            self._forget()
        else:
            self._start = end
        if head.content_length == 0:
            self.complete = True
        else:
            self._expect_content(head.content_length)
        return head

    def _remembered(self, data: bytes, scan: NextScanner) -> tuple[RequestHead, int, int] | None:
        """What a read is parsed to; what the last one was, where it is the same."""
        last = self.last
        if last is not None and last[0] == data:
            self._misses = 0
            return last[1]
        self._misses += 1
        line, size, count = self._settings.head_limits
        found = scan(data, 0, line, size, count)
        self.last = None
        length = len(data)
        if found is not None and self._misses < MISSES and length == self._size == found[2]:
            self.last = data, found
        self._size = length
        return found

    def _next_found(self) -> RequestHead | None:
        """As ``next_head``, where other bytes may stand before or behind."""
        data, start = self._data, self._start
        end = data.find(HEAD_END, start) + 4
        if end < 4:
            return self._next_gathered() if self.more else None
        block = data[start:end]
        self._start = end
        if end == len(data):
            self._forget()
        line, size, count = self._settings.head_limits
        try:
            found = self._settings.scan_head(block, line, size, count)
            head, self.framing = found or scan_head(block, line, size, count)
        except RemoteProtocolError as error:
            if block[0] not in b"\r\n":
                if is_proxy_header(block):
                    raise RemoteProtocolError(self._settings.proxy_reason) from None
                if block == PREFACE:
                    self._data = block + self.take_held()
                    self.more = True
                    raise OtherProtocol(error.reason, error.status) from None
                error.without_content = block.startswith(b"HEAD ")
                raise
            # It has empty lines before it.
            self._data = block + self.take_held()
            self.more = True
            return self._next_gathered()
        if head.content_length == 0:
            self.complete = True
        else:
            self._expect_content(head.content_length)
        return head

    def _expect_content(self, length: int | None) -> None:
        self.complete = False
        self._content = None
        self._length = length
        self._pace = None

    def _next_gathered(self) -> RequestHead | None:
        """As ``next_head``, where a part has come before or an empty line comes first."""
        data = self.take_held()
        beginning, self._beginning = self._beginning, None
        if beginning is not None and beginning.is_half_a_line_end:
            data = b"\r" + data
            beginning = None
        if beginning is None:
            data = skip_empty_lines(data)
            if not data:
                return None
            beginning = HeadBeginning(self._settings.head_limits, self._settings.proxy_reason)
        whole = beginning.add(data)
        if whole is None:
            self._beginning = beginning
            return None
        self._data = whole
        self.more = True
        return self._next_found()

    # -- content -------------------------------------------------------------------------------

    @property
    def remaining(self) -> int | None:
        """Content bytes of the present request still to come; ``None``: not known."""
        if self.complete:
            return 0
        content = self._content
        return self._length if content is None else content.remaining

    def take_whole(self) -> bytes | None:
        """All of the content, where it came together with its head."""
        data, start, length = self._data, self._start, self._length
        if length is None or len(data) - start < length:
            return None
        end = self._start = start + length
        piece = data[start:end]
        if end == len(data):
            self._forget()
        self.complete = True
        return piece

    def read_content(self) -> bytes:
        """Content of the present request among what was read; sets ``complete`` at its end.

        Raises ``RemoteProtocolError``.
        """
        content = self._content
        if content is None:
            length = self._length
            if length == 0:
                return b""
            content = ChunkedContent() if length is None else CountedContent(length)
            self._content = content
        try:
            piece, self._start = content.feed(self._data, self._start)
        except RemoteProtocolError:
            self._content = None
            self._length = 0  # where it ends cannot be known any more
            raise
        if self._start >= len(self._data):
            self._forget()
        if content.complete:
            self._content = None
            self.complete = True
        return piece

    @property
    def half_read(self) -> bool:
        """Whether content of the present request has begun to come and more has to follow."""
        content = self._content
        return content is not None and content.begun

    def drop(self, data: bytes) -> bool:
        """Read content that is not wanted; returns whether that was the end of it."""
        self._data = data
        self._start = 0
        with suppress(RemoteProtocolError):
            self.read_content()
        self._forget()
        return self.complete

    def too_slow(self, received: int, seconds: float, silence: float, rate: int) -> bool:
        """Whether content comes too slowly; to be asked once a tick while it is expected.

        ``received`` bytes came until now, the last time was ``seconds`` ago; see ``BodyPace``.
        """
        pace = self._pace
        if pace is None:
            self._pace = BodyPace(received)
            return False
        pace.add(received, seconds)
        return pace.too_slow(silence, rate)

    # -- the transport -------------------------------------------------------------------------

    def pause(self) -> None:
        """Read nothing more for now."""
        transport = self._transport
        if not self.paused and transport is not None and not transport.is_closing():
            self.paused = True
            transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused and self._transport is not None:
            self.paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Let go of everything."""
        self._forget()
        self._content = self._beginning = self._transport = self.last = None
