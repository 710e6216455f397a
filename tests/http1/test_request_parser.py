"""The parser as a state machine: what it holds, what it says of itself, what it refuses early."""

from __future__ import annotations

import pytest

from katana_asgi.errors import ConfigurationError, RemoteProtocolError
from katana_asgi.http1 import parser as parser_module
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import RequestParser, back_end, head_parser

LIMITS = HeadLimits(line=100, size=200, count=5)

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Heard:
    """A sink that notes targets, content and ends."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def request_received(self, head) -> None:
        self.said.append(head.target)

    def content_received(self, data: bytes) -> None:
        self.said.append(data)

    def request_complete(self) -> None:
        self.said.append("complete")


@pytest.fixture(params=["httptools", "h11"])
def parser(request):
    """A parser whose sink is ``parser.heard``."""
    sink = Heard()
    return Parser(RequestParser(sink, head_parser(request.param, LIMITS, memo=True), LIMITS), sink)


class Parser:
    """A parser and what its sink has heard."""

    def __init__(self, parser: RequestParser, heard: Heard) -> None:
        self._parser = parser
        self.heard = heard

    def __getattr__(self, name: str) -> object:
        return getattr(self._parser, name)


def test_a_new_parser_has_seen_nothing(parser):
    assert (parser.fresh, parser.complete, parser.holds) == (True, False, b"")
    assert parser.remaining == 0


def test_it_stops_after_a_request_and_holds_what_follows(parser):
    parser.feed(GET % 1 + GET % 2 + b"GET")
    assert parser.heard.said == [b"/1"]
    assert parser.complete
    assert parser.holds == GET % 2 + b"GET"
    parser.feed(b" /3")
    assert parser.holds == GET % 2 + b"GET /3"
    parser.next_request()
    assert parser.heard.said == [b"/1", b"/2"]
    parser.next_request()
    assert parser.heard.said == [b"/1", b"/2"]
    assert (parser.complete, parser.fresh, parser.holds) == (False, False, b"")
    parser.feed(b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert parser.heard.said == [b"/1", b"/2", b"/3"]


def test_content_is_handed_on_as_it_comes(parser):
    parser.feed(POST + b"ab")
    assert parser.heard.said == [b"/", b"ab"]
    assert (parser.complete, parser.fresh, parser.remaining) == (False, False, 3)
    parser.feed(b"c")
    parser.feed(b"de" + GET % 2)
    assert parser.heard.said == [b"/", b"ab", b"c", b"de", "complete"]
    assert (parser.complete, parser.remaining) == (True, 0)
    assert parser.holds == GET % 2


def test_chunked_content_does_not_tell_how_much_is_to_come(parser):
    parser.feed(CHUNKED + b"2\r\nab\r\n")
    assert parser.remaining is None
    parser.feed(b"0\r\n\r\nrest")
    assert parser.heard.said == [b"/", b"ab", "complete"]
    assert parser.holds == b"rest"


def test_a_request_without_content_is_complete_with_its_head(parser):
    parser.feed(GET % 1)
    assert parser.heard.said == [b"/1"]
    assert parser.complete


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_a_request_are_skipped(parser, lines):
    parser.feed(lines)
    assert parser.fresh
    parser.feed(lines + GET % 1)
    assert parser.heard.said == [b"/1"]


def test_an_empty_line_may_come_in_two_pieces(parser):
    parser.feed(b"\r")
    assert not parser.fresh
    parser.feed(b"\n")
    assert parser.fresh
    parser.feed(b"\r")
    parser.feed(b"\n" + GET % 1)
    assert parser.heard.said == [b"/1"]


@pytest.mark.parametrize(
    ("beginning", "status"),
    [
        (b"\n", 400),
        (b"\rG", 400),
        (b"\r\r\n", 400),
        (b"\x16\x03\x01", 400),
        (b"(", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"GET / HTTPS/1.1\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\n", 501),
        (b"GET / HTTP/1.1\nHost: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\rb", 400),
        (b"x" * 102, 414),
        (b"GET / HTTP/1.1\r\n" + b"x" * 200, 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 7, 431),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(parser, beginning, status):
    with pytest.raises(RemoteProtocolError) as raised:
        parser.feed(beginning)
    assert raised.value.status == status
    assert parser.heard.said == []


def test_a_broken_request_behind_a_good_one_is_refused_in_its_turn(parser):
    parser.feed(GET % 1 + b"\x00")
    assert parser.heard.said == [b"/1"]
    with pytest.raises(RemoteProtocolError):
        parser.next_request()


def test_the_back_end_is_what_the_setting_says():
    assert back_end("h11") == "h11"
    assert back_end("httptools") == back_end("auto") == "httptools"


def test_without_httptools_auto_is_h11_and_its_name_a_mistake(monkeypatch):
    monkeypatch.setattr(parser_module, "find_spec", lambda name: None)
    assert back_end("auto") == back_end("h11") == "h11"
    with pytest.raises(ConfigurationError, match="httptools is not installed"):
        back_end("httptools")
