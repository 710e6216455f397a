"""Bytes to requests, one request at a time (RFC 9112 §2).

The parser gathers a whole head, whatever the reads were, so a back end sees complete heads
only and the way the bytes were split cannot change what is accepted. After each request it stops
and holds what follows until ``next_request()``: that is what keeps pipelined responses in
order and memory bounded::

    HEAD ──head──▶ CONTENT ──last byte──▶ COMPLETE ──next_request()──▶ HEAD
      └──────head without content──────────▲
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from katana_asgi.errors import ConfigurationError, RemoteProtocolError
from katana_asgi.http.target import parse_target
from katana_asgi.http1.content import ChunkedContent, ContentDecoder, CountedContent
from katana_asgi.http1.head import read_head, split_request_line
from katana_asgi.http1.memo import HeadMemo

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.head import FieldParser
    from katana_asgi.http1.limits import HeadLimits

__all__ = ["HEAD_END", "HeadParser", "RequestParser", "RequestSink", "back_end", "head_parser"]

_TCHAR: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789" + bytes(range(65, 91)) + bytes(range(97, 123))
)

HEAD_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D


class RequestSink(Protocol):
    """What a parser says."""

    def request_received(self, head: RequestHead) -> None:
        """A head was accepted; content follows where ``head.has_content``."""

    def content_received(self, data: bytes) -> None:
        """A piece of content, never empty."""

    def request_complete(self) -> None:
        """The content is complete; not said for a head without content."""


HeadParser: TypeAlias = "Callable[[bytes], RequestHead]"
"""The bytes of a whole head, its CRLFCRLF included, to a ``RequestHead``.

Raises ``RemoteProtocolError`` for anything RFC 9112 does not allow."""


def back_end(http: str) -> str:
    """What the setting ``http`` means here: "httptools" or "h11".

    Raises ``ConfigurationError`` when httptools was asked for by name and is not installed.
    """
    if http == "h11" or find_spec("httptools") is not None:
        return "h11" if http == "h11" else "httptools"
    if http == "httptools":
        raise ConfigurationError(
            "setting http: httptools is not installed; allowed here: auto, h11"
        )
    return "h11"


def head_parser(http: str, limits: HeadLimits, *, memo: bool) -> HeadParser:
    """The parser of heads for the settings ``http`` and ``memo``.

    The strict back end never remembers. Raises what ``back_end`` raises.
    """
    name = back_end(http)
    module = import_module(f"katana_asgi.http1.parser_{name}")
    parse_fields: FieldParser = module.parse_fields
    if memo and name != "h11":
        return HeadMemo(parse_fields, limits)
    return partial(read_head, parse_fields=parse_fields, limits=limits)


class RequestParser:
    """Turns the bytes of one connection into calls of a sink.

    Raises ``RemoteProtocolError`` out of ``feed`` and ``next_request``; the parser is of no
    further use after that.
    """

    __slots__ = (
        "_checked",
        "_content",
        "_deliver",
        "_head",
        "_limits",
        "_line_end",
        "_lines",
        "_parse_head",
        "_sink",
        "complete",
        "holds",
    )
    __deletable__ = ("_deliver", "_sink")  # for the compiled build

    def __init__(self, sink: RequestSink, parse_head: HeadParser, limits: HeadLimits) -> None:
        self._sink = sink
        self._parse_head = parse_head
        self._limits = limits
        self._deliver: Callable[[bytes], None] = sink.content_received
        self._head = bytearray()  # the beginning of a head
        self._checked = 0  # bytes of it that have been looked at
        self._line_end = -1  # where in it the request line ends
        self._lines = 0  # line ends in it, from there on
        self.holds = b""  # bytes that wait behind the present request
        self._content: ContentDecoder | None = None
        self.complete = False  # the present request has arrived; waiting for next_request()

    @property
    def fresh(self) -> bool:
        """Whether not a byte of the next request has arrived."""
        return not (self.complete or self._head or self._content)

    @property
    def remaining(self) -> int | None:
        """Content bytes still to come; ``None`` where chunked framing does not tell."""
        if self._content is None:
            return 0
        return self._content.remaining if isinstance(self._content, CountedContent) else None

    def feed(self, data: bytes) -> None:
        """Take bytes, until a request is complete; hold what comes after it."""
        if self.complete:
            self.holds += data
        elif self._content is not None:
            self._feed_content(self._content, data)
        else:
            self._feed_head(data)

    def close(self) -> None:
        """Let go of the sink: a connection and its parser must not keep each other alive."""
        self._content = None
        del self._sink, self._deliver

    def next_request(self) -> None:
        """Go on with the next request, from the bytes that were held."""
        self.complete = False
        held, self.holds = self.holds, b""
        if held:
            self._feed_head(held)

    def _feed_head(self, data: bytes) -> None:
        buffer = self._head
        if buffer == b"\r":  # half an empty line
            data = b"\r" + data
            buffer.clear()
        if buffer:
            # Search again from three bytes back: the end may be cut anywhere.
            start = max(0, len(buffer) - 3)
            buffer += data
            end = buffer.find(HEAD_END, start)
            if end >= 0:
                data = bytes(buffer)
                self._head = bytearray()
                self._checked = self._lines = 0
                self._line_end = -1
        else:
            if data[:1] in (b"\r", b"\n"):
                data = self._skip_empty_lines(data)
            end = data.find(HEAD_END)
            if end < 0:
                buffer += data
        if end < 0:
            self._check_beginning()
            return
        end += 4
        try:
            head = self._parse_head(data[:end])
        except RemoteProtocolError as error:
            error.without_content = data.startswith(b"HEAD ")
            raise
        self.holds = data[end:]
        self._received(head)

    def _received(self, head: RequestHead) -> None:
        if not head.has_content:
            self.complete = True
            self._sink.request_received(head)
            return
        length = head.content_length
        if length is not None and len(self.holds) >= length:
            self._received_whole(head, length)
            return
        content: ContentDecoder
        if length is None:
            content = ChunkedContent(self._deliver)
        else:
            content = CountedContent(self._deliver, length)
        self._content = content
        self._sink.request_received(head)
        held, self.holds = self.holds, b""
        if held:
            self._feed_content(content, held)

    def _received_whole(self, head: RequestHead, length: int) -> None:
        """A request whose content came with its head needs no decoder."""
        self._sink.request_received(head)
        held = self.holds
        self.holds = held[length:]
        # A slice of all of it would be another copy where this is compiled.
        self._deliver(held if len(held) == length else held[:length])
        self.complete = True
        self._sink.request_complete()

    def _feed_content(self, content: ContentDecoder, data: bytes) -> None:
        rest = content.feed(data)
        if rest is not None:
            self._content = None
            self.holds = rest
            self.complete = True
            self._sink.request_complete()

    @staticmethod
    def _skip_empty_lines(data: bytes) -> bytes:
        """RFC 9112 §2.2: a server should ignore empty lines before the request line."""
        rest = data.lstrip(b"\r\n")
        skipped = data[: len(data) - len(rest)]
        if not rest and skipped[-1:] == b"\r":
            rest, skipped = b"\r", skipped[:-1]
        if skipped != b"\r\n" * (len(skipped) // 2):
            raise RemoteProtocolError("invalid empty line before the request")
        return rest

    def _check_beginning(self) -> None:
        """Refuse early what can no longer become a request, rather than wait for its end.

        Looks at what is new only: a head that comes byte by byte must not cost its square.
        """
        beginning, checked = self._head, self._checked
        if not beginning or beginning == b"\r":
            return
        if beginning[0] not in _TCHAR:
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
        self._limits.check_sizes(self._line_end, len(beginning), self._lines)
        if first and self._line_end >= 0:
            method, target, _ = split_request_line(bytes(beginning[: self._line_end]))
            parse_target(target, method)
        ends = new.count(b"\r\n")
        if new.count(b"\n") != ends or new.count(b"\r", 0, -1) > ends:
            raise RemoteProtocolError("bare CR or LF in the head")
