"""Response heads and chunks as bytes (RFC 9112 §4, §7.1)."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.refusal import Refusal
from katana_asgi.http1.status_lines import (
    LAST_CHUNK,
    STATUS_LINES,
    encode_chunk,
    encode_last_chunk,
    informational,
    refusal_bytes,
    status_line,
)
from katana_asgi.testing import MemoryServer


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_chunks_are_what_h11_reads(pieces: list[bytes]) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n")
    client.next_event()
    client.receive_data(b"".join([encode_chunk(piece) for piece in pieces]) + LAST_CHUNK)
    content = b""
    while isinstance(event := client.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert content == b"".join(pieces)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (599, b"HTTP/1.1 599 \r\n"),
        (999, b"HTTP/1.1 999 \r\n"),
    ],
)
def test_a_status_line_has_the_phrase_of_the_registry_or_none(status, line):
    assert STATUS_LINES[status] == status_line(status) == line


def test_an_informational_response_is_a_head():
    assert informational(100, ()) == b"HTTP/1.1 100 Continue\r\n\r\n"
    fields = ((b"link", b"</a>; rel=preload"),)
    assert informational(103, fields) == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
    )


def test_trailers_stand_behind_the_last_chunk():
    assert encode_last_chunk(((b"a", b"b"), (b"c", b""))) == b"0\r\na: b\r\nc: \r\n\r\n"
    assert encode_last_chunk(()) == LAST_CHUNK


def test_a_refusal_is_a_whole_response_that_closes():
    refusal = Refusal(404, "no such thing", ((b"retry-after", b"1"),))
    last = b"date: now\r\nconnection: close\r\n\r\n"
    whole = refusal_bytes(refusal, last, head=False)
    head, _, content = whole.partition(b"\r\n\r\n")
    assert content == b"no such thing\n"
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 404 Not Found",
        b"retry-after: 1",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: 14",
        b"date: now",
        b"connection: close",
    ]
    assert refusal_bytes(refusal, last, head=True) == head + b"\r\n\r\n"


# -- heads of responses, as a connection sends them


async def application(scope, receive, send) -> None:
    """Answers as the path says: status, content in one piece or two, with a length or without."""
    status, pieces, length = scope["path"].removeprefix("/").split("/")
    headers = [(b"X", b"1")]
    if length:
        headers.append((b"Content-Length", length.encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    if pieces == "2":
        await send({"type": "http.response.body", "body": b"", "more_body": True})
    await send({"type": "http.response.body", "body": b"abc"})


@pytest.mark.parametrize(
    ("path", "version", "expected"),
    [
        (b"200/1/", b"1.1", b"200 OK\r\nx: 1\r\ncontent-length: 3\r\n\r\nabc"),
        (b"200/1/3", b"1.1", b"200 OK\r\nx: 1\r\ncontent-length: 3\r\n\r\nabc"),
        (b"200/2/3", b"1.1", b"200 OK\r\nx: 1\r\ncontent-length: 3\r\n\r\nabc"),
        (
            b"200/2/",
            b"1.1",
            b"200 OK\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (b"200/2/", b"1.0", b"200 OK\r\nx: 1\r\nconnection: close\r\n\r\nabc"),
        (b"204/2/", b"1.1", b"204 No Content\r\nx: 1\r\n\r\n"),
        (b"204/1/3", b"1.1", b"204 No Content\r\nx: 1\r\n\r\n"),
        (b"304/1/3", b"1.1", b"304 Not Modified\r\nx: 1\r\ncontent-length: 3\r\n\r\n"),
        (b"599/1/", b"1.1", b"599 \r\nx: 1\r\ncontent-length: 3\r\n\r\nabc"),
    ],
)
async def test_a_head_says_how_its_content_ends(path, version, expected):
    settings = {"date_header": False, "server_header": False, "lifespan": "off"}
    async with MemoryServer(application, **settings) as memory:
        sent = await memory.served(b"GET /%b HTTP/%b\r\nHost: a\r\n\r\n" % (path, version))
    assert sent == b"HTTP/1.1 " + expected
