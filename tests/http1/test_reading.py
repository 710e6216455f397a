"""The reading half as a state machine: what it holds, what it says of itself, what it refuses."""

from __future__ import annotations

import pytest
from reads import BACK_ENDS, Requests, reader_settings

from katana_asgi import codec
from katana_asgi.errors import ConfigurationError, RemoteProtocolError
from katana_asgi.http1 import scanning
from katana_asgi.http1.scanning import back_end

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class OneByOne(Requests):
    """Takes one request and its content, a further one where it is asked to.

    ``said`` are targets, content and ends.
    """

    def feed(self, data: bytes, most: int = 1) -> None:
        super().feed(data, 0 if self.heard else most)

    def next_request(self) -> None:
        self.take(1)

    @property
    def said(self) -> list[object]:
        return [each["target"] if isinstance(each, dict) else each for each in self.heard]


@pytest.fixture(params=BACK_ENDS)
def requests(request):
    """A reader of one request at a time."""
    return OneByOne(reader_settings(request.param, line=100, size=200, count=5))


def test_a_new_reader_has_seen_nothing(requests):
    reader = requests.reader
    assert (reader.fresh, reader.complete, reader.held, reader.remaining) == (True, True, 0, 0)


def test_it_gives_one_request_and_holds_what_follows(requests):
    reader = requests.reader
    requests.feed(GET % 1 + GET % 2 + b"GET")
    assert requests.said == [b"/1", "complete"]
    assert reader.held == len(GET % 2 + b"GET")
    requests.feed(b" /3")
    assert reader.held == len(GET % 2 + b"GET /3")
    requests.next_request()
    assert requests.said == [b"/1", "complete", b"/2", "complete"]
    requests.next_request()
    assert requests.said[4:] == []
    assert (reader.fresh, reader.held) == (False, 0)
    requests.feed(b" HTTP/1.1\r\nHost: a\r\n\r\nrest")
    requests.next_request()
    assert requests.said[4:] == [b"/3", "complete"]
    assert reader.take_held() == b"rest"
    assert reader.held == 0


def test_content_is_handed_on_as_it_comes(requests):
    reader = requests.reader
    requests.feed(POST + b"ab")
    assert requests.said == [b"/", b"ab"]
    assert (reader.complete, reader.fresh, reader.remaining) == (False, True, 3)
    requests.feed(b"c")
    requests.feed(b"de" + GET % 2)
    assert requests.said == [b"/", b"abcde", "complete"]
    assert (reader.complete, reader.remaining) == (True, 0)
    assert reader.take_held() == GET % 2


def test_chunked_content_does_not_tell_how_much_is_to_come(requests):
    requests.feed(CHUNKED + b"2\r\nab\r\n")
    assert requests.reader.remaining is None
    requests.feed(b"0\r\n\r\nrest")
    assert requests.said == [b"/", b"ab", "complete"]
    assert requests.reader.take_held() == b"rest"


def test_a_request_without_content_is_complete_with_its_head(requests):
    requests.feed(GET % 1)
    assert requests.said == [b"/1", "complete"]
    assert requests.reader.fresh


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_a_request_are_skipped(requests, lines):
    requests.feed(lines)
    assert requests.reader.fresh
    requests.feed(lines + GET % 1)
    assert requests.said == [b"/1", "complete"]


def test_an_empty_line_may_come_in_two_pieces(requests):
    requests.feed(b"\r")
    assert not requests.reader.fresh
    requests.feed(b"\n")
    assert requests.reader.fresh
    requests.feed(b"\r")
    requests.feed(b"\n" + GET % 1)
    assert requests.said == [b"/1", "complete"]


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
        (b"x" * 102, 501),
        (b"GET /" + b"x" * 97, 414),
        (b"GET / HTTP/1.1\r\n" + b"x" * 200, 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 7, 431),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(requests, beginning, status):
    with pytest.raises(RemoteProtocolError) as raised:
        requests.feed(beginning)
    assert raised.value.status == status
    assert requests.said == []


def test_a_broken_request_behind_a_good_one_is_refused_in_its_turn(requests):
    requests.feed(GET % 1 + b"\x00")
    assert requests.said == [b"/1", "complete"]
    with pytest.raises(RemoteProtocolError):
        requests.next_request()


def test_the_back_end_is_what_the_setting_says():
    assert back_end("h11") == "h11"
    assert back_end("httptools") == "httptools"
    assert back_end("auto") == ("native" if codec.NATIVE else "httptools")


def test_without_the_native_codec_auto_is_httptools_and_its_name_a_mistake(monkeypatch):
    monkeypatch.setattr(codec, "NATIVE", False)
    assert back_end("auto") == "httptools"
    with pytest.raises(ConfigurationError, match="the native codec was not built"):
        back_end("native")


def test_without_httptools_and_the_codec_auto_is_h11_and_its_name_a_mistake(monkeypatch):
    monkeypatch.setattr(codec, "NATIVE", False)
    monkeypatch.setattr(scanning, "find_spec", lambda name: None)
    assert back_end("auto") == back_end("h11") == "h11"
    with pytest.raises(ConfigurationError, match="httptools is not installed"):
        back_end("httptools")
