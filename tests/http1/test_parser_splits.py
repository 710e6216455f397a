"""However the bytes of a connection are cut into reads, the parser says the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from request_streams import CUTS, STREAMS, cut

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import RequestParser, head_parser

WIDE = HeadLimits(line=10**6, size=10**6, count=10**6)
NARROW = HeadLimits(line=60, size=100, count=3)

BACK_ENDS = ("httptools", "httptools with a memo", "h11")

PARSERS = {
    # Made once: a memo remembers for the whole run.
    (name, limits): head_parser(name.partition(" ")[0], limits, memo=name.endswith("memo"))
    for name in BACK_ENDS
    for limits in (WIDE, NARROW)
}


class Recording:
    """A sink that writes down what it hears; pieces of content are joined."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def request_received(self, head) -> None:
        names = ("method", "target", "version", "path", "raw_path", "query", "keep_alive")
        names += ("content_length", "chunked", "expect_continue", "has_content", "upgrade")
        self.heard.append(
            {name: getattr(head, name) for name in names} | {"fields": head.fields[:]}
        )

    def content_received(self, data: bytes) -> None:
        assert data
        if isinstance(self.heard[-1], bytes):
            self.heard[-1] += data
        else:
            self.heard.append(data)

    def request_complete(self) -> None:
        self.heard.append("complete")


def parsed(pieces: list[bytes], back_end: str, limits: HeadLimits = WIDE) -> list[Any]:
    """What a parser makes of these reads, taking each request as soon as it can."""
    sink = Recording()
    parser = RequestParser(sink, PARSERS[back_end, limits], limits)
    try:
        for piece in pieces:
            parser.feed(piece)
            while parser.complete:
                parser.next_request()
    except RemoteProtocolError as error:
        sink.heard.append(error.status)
    return sink.heard


@pytest.mark.parametrize("back_end", BACK_ENDS)
@given(stream=STREAMS, sizes=CUTS)
@example(stream=b"GET / HTTP/9.9\r\nX: a\rb\r\n\r\n", sizes=[23])
@example(stream=b"G(T / HTTP/1.1\r\n\r\n", sizes=[3])
@settings(max_examples=400, deadline=None)
def test_the_cuts_do_not_matter(back_end: str, stream: bytes, sizes: list[int] | None) -> None:
    assert parsed(cut(stream, sizes), back_end) == parsed([stream], back_end)


@pytest.mark.parametrize("back_end", BACK_ENDS)
@given(stream=STREAMS, sizes=CUTS)
@settings(max_examples=200, deadline=None)
def test_the_cuts_do_not_matter_to_the_limits(
    back_end: str, stream: bytes, sizes: list[int] | None
) -> None:
    """Where a head has several faults, which is found first may depend on the reads."""
    in_one = parsed([stream], back_end, NARROW)
    in_pieces = parsed(cut(stream, sizes), back_end, NARROW)
    assert [status_or_more(heard) for heard in in_pieces] == [
        status_or_more(heard) for heard in in_one
    ]


def status_or_more(heard: Any) -> Any:
    """Any refusal is as good as another."""
    return "refused" if isinstance(heard, int) else heard


@given(stream=STREAMS, sizes=CUTS)
@settings(max_examples=800, deadline=None)
def test_the_back_ends_agree(stream: bytes, sizes: list[int] | None) -> None:
    pieces = cut(stream, sizes)
    first, *others = (parsed(pieces, back_end) for back_end in BACK_ENDS)
    assert others == [first, first]


@given(stream=st.binary(max_size=60), sizes=CUTS)
@settings(max_examples=300, deadline=None)
def test_the_back_ends_agree_on_nonsense(stream: bytes, sizes: list[int] | None) -> None:
    pieces = cut(stream, sizes)
    first, *others = (parsed(pieces, back_end) for back_end in BACK_ENDS)
    assert others == [first, first]
