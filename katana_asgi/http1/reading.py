"""The reading half of an HTTP/1.1 connection: bytes to heads and content (RFC 9112 §2).

It gathers a whole head, whatever the reads were, so the way the bytes were split cannot change
what is accepted. The connection asks for one request at a time and for its content; what follows
is held meanwhile: that keeps pipelined responses in order and memory bounded. It owns what
comes in, and whether the transport is read at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.codec import check_sizes, scan_head
from katana_asgi.codec.heads import split_request_line
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.target import parse_target
from katana_asgi.http1.content import ChunkedContent, ContentDecoder, CountedContent
from katana_asgi.http1.pace import BodyPace
from katana_asgi.net.proxy_protocol import is_proxy_header

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["RequestReader"]

HEAD_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D
_TCHAR: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789" + bytes(range(65, 91)) + bytes(range(97, 123))
)


class RequestReader:
    """Turns the bytes of one connection into requests, one after the other.

    ``framing`` are the bits of the present request's framing (see ``codec``). ``complete`` says
    that all of it has come, ``more`` that bytes were read and not used yet. After a
    ``RemoteProtocolError`` it is of no further use.
    """

    __slots__ = (
        "_beginning",
        "_checked",
        "_content",
        "_data",
        "_limits",
        "_line_end",
        "_lines",
        "_pace",
        "_proxy_reason",
        "_scan",
        "_start",
        "_transport",
        "_whole",
        "complete",
        "framing",
        "more",
        "paused",
    )

    def __init__(self, settings: Http1Settings) -> None:
        self._scan = settings.scan_head
        self._whole = settings.scans_whole
        self._limits = settings.head_limits
        self._proxy_reason = settings.proxy_reason
        self._data = b""  # read, and not used yet from ...
        self._start = 0  # ... here on
        self._beginning: bytearray | None = None  # of a head that has not come whole
        self._checked = 0  # bytes of it that have been checked
        self._line_end = -1  # where in it the request line ends
        self._lines = 0  # line ends in it, from there on
        self._content: ContentDecoder | None = None
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
        return not self.more and not self._beginning

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
        data = self._data
        if self._whole and not self._start and data.endswith(HEAD_END):
            # Nearly always one head and nothing else; the scanner declines what is more.
            line, size, count = self._limits
            found = self._scan(data, line, size, count)
            if found is not None:
                self._data = b""
                self.more = False
                head, self.framing = found
                if head.content_length == 0:
                    self.complete = True
                else:
                    self._expect_content(head.content_length)
                return head
        return self._next_found()

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
        line, size, count = self._limits
        try:
            found = self._scan(block, line, size, count) or scan_head(block, line, size, count)
        except RemoteProtocolError as error:
            return self._refused(block, error)
        head, self.framing = found
        if head.content_length == 0:
            self.complete = True
        else:
            self._expect_content(head.content_length)
        return head

    def _refused(self, data: bytes, error: RemoteProtocolError) -> RequestHead | None:
        """What looked like a head is none: it has empty lines before it, or it is wrong."""
        if data[0] in b"\r\n":
            self._data = data + self.take_held()
            self.more = True
            return self._next_gathered()
        if is_proxy_header(data):
            raise RemoteProtocolError(self._proxy_reason)
        error.without_content = data.startswith(b"HEAD ")
        raise error

    def _expect_content(self, length: int | None) -> None:
        self.complete = False
        self._content = ChunkedContent() if length is None else CountedContent(length)
        self._pace = None

    def _next_gathered(self) -> RequestHead | None:
        """As ``next_head``, where a part has come before or an empty line comes first."""
        data = self.take_held()
        beginning = self._beginning
        if beginning is not None and len(beginning) == 1 and beginning[0] == _CR:
            # half an empty line
            data = b"\r" + data
            beginning = self._beginning = None
        if beginning is None:
            data = _skip_empty_lines(data)
            if not data:
                return None
            if data.find(HEAD_END) < 0:
                self._gather(data)
                return None
        else:
            # Search again from three bytes back: the end may be cut anywhere.
            start = max(0, len(beginning) - 3)
            beginning += data
            if beginning.find(HEAD_END, start) < 0:
                self._check_beginning(beginning)
                return None
            data = bytes(beginning)
            self._beginning = None
        self.add(data)
        return self.next_head()

    def _gather(self, data: bytes) -> None:
        """Keep the beginning of a head."""
        self._checked = self._lines = 0
        self._line_end = -1
        beginning = self._beginning = bytearray(data)
        self._check_beginning(beginning)

    def _check_beginning(self, beginning: bytearray) -> None:
        """Refuse early what can no longer become a request, rather than wait for its end.

        Checks what is new only: a head that comes byte by byte must not cost its square.
        """
        checked = self._checked
        if not beginning or beginning == b"\r":
            return
        if beginning[0] not in _TCHAR:
            if is_proxy_header(beginning):
                raise RemoteProtocolError(self._proxy_reason)
            raise RemoteProtocolError("invalid request line")
        # A CR at the end of what was checked may be half of a line end.
        new = bytes(beginning[checked - (checked > 0 and beginning[checked - 1] == _CR) :])
        self._checked = len(beginning)
        first = self._line_end < 0
        if first:
            self._line_end = beginning.find(b"\r\n", max(0, checked - 1))
            self._lines = beginning.count(b"\n", self._line_end)
        else:
            self._lines += new.count(b"\n")
        check_sizes(beginning, self._line_end, self._lines, *self._limits)
        if first and self._line_end >= 0:
            line = bytes(beginning[: self._line_end])
            if is_proxy_header(line):
                raise RemoteProtocolError(self._proxy_reason)
            method, target, _ = split_request_line(line)
            parse_target(target, method)
        ends = new.count(b"\r\n")
        if new.count(b"\n") != ends or new.count(b"\r", 0, -1) > ends:
            raise RemoteProtocolError("bare CR or LF in the head")

    # -- content -------------------------------------------------------------------------------

    @property
    def remaining(self) -> int | None:
        """Content bytes of the present request still to come; ``None``: not known."""
        content = self._content
        return 0 if self.complete or content is None else content.remaining

    def read_content(self) -> bytes:
        """Content of the present request among what was read; sets ``complete`` at its end.

        Raises ``RemoteProtocolError``.
        """
        content = self._content
        if content is None:
            return b""
        piece, self._start = content.feed(self._data, self._start)
        if self._start >= len(self._data):
            self._forget()
        if content.complete:
            self._content = None
            self.complete = True
        return piece

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
        self._content = self._beginning = self._transport = None


def _skip_empty_lines(data: bytes) -> bytes:
    """RFC 9112 §2.2: a server should ignore empty lines before the request line."""
    rest = data.lstrip(b"\r\n")
    skipped = data[: len(data) - len(rest)]
    if not rest and skipped[-1:] == b"\r":
        rest, skipped = b"\r", skipped[:-1]
    if skipped != b"\r\n" * (len(skipped) // 2):
        raise RemoteProtocolError("invalid empty line before the request")
    return rest
