"""Requests that are refused: with which status, and that nothing behind them is served."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi.testing import running
from tests.applications import Probe, content_of, get, respond
from tests.support import talking, within


async def ok(scope, receive, send):
    await respond(send, scope["path"].encode() + await content_of(receive))


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


CHUNKED = get("/", "Transfer-Encoding: chunked", method="POST")

BROKEN = {
    # line 24
    "no Host": head("GET / HTTP/1.1"),
    "two Hosts": get("/", "Host: example"),
    "a Host that is none": head("GET / HTTP/1.1", "Host: a/b"),
    "a Host with a port that is none": head("GET / HTTP/1.1", "Host: a:99999"),
    "a list of Hosts": head("GET / HTTP/1.1", "Host: a, b"),
    "length and chunked": get(
        "/", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST"
    ),
    "chunked and length": get(
        "/", "Transfer-Encoding: chunked", "Content-Length: 3", method="POST"
    ),
    "two lengths": get("/", "Content-Length: 3", "Content-Length: 4", method="POST"),
    "a list of lengths": get("/", "Content-Length: 3, 4", method="POST"),
    "a negative length": get("/", "Content-Length: -3", method="POST"),
    "a length with a sign": get("/", "Content-Length: +3", method="POST"),
    "a length in hexadecimal": get("/", "Content-Length: 0x3", method="POST"),
    "a length with an underscore": get("/", "Content-Length: 1_0", method="POST"),
    "an empty length": get("/", "Content-Length:", method="POST"),
    "a length out of range": get("/", "Content-Length: " + "9" * 40, method="POST"),
    "chunked twice": get("/", "Transfer-Encoding: chunked, chunked", method="POST"),
    "chunked not last": get("/", "Transfer-Encoding: chunked, gzip", method="POST"),
    "chunked in 1.0": get("/", "Transfer-Encoding: chunked", method="POST", version="1.0"),
    "bare CR in a value": get("/", "X: a\rb"),
    "bare LF after a line": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a folded line": get("/", "X: a", " b"),
    "a folded first line": b"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
    "space before the colon": get("/", "X : a"),
    "a line without a colon": get("/", "X"),
    "a line without a name": get("/", ": x"),
    "a name that is no token": get("/", "X(y): a"),
    "NUL in a value": get("/", "X: a\x00b"),
    "a control byte in a value": get("/", "X: a\x01b"),
    "no version": b"GET /\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case protocol": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "a method that is no token": b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": get("/a#b"),
    "a target that is no path": get("a"),
    "asterisk without OPTIONS": get("*"),
    "bytes above ASCII in the target": get("/\xe4"),
    "a TLS client": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nonsense": b"\x00\x01\x02\r\n\r\n",
}

BROKEN_CONTENT = {
    "no hexadecimal": b"xyz\r\n",
    "a sign": b"+1\r\na\r\n0\r\n\r\n",
    "a prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "space before the size": b" 1\r\na\r\n0\r\n\r\n",
    "an empty size": b"\r\n",
    "a size out of range": b"fffffffffffffffff\r\n",
    "bare LF after the size": b"1\na\r\n0\r\n\r\n",
    "too much data": b"1\r\nabc\r\n0\r\n\r\n",
    "too little data": b"3\r\na\r\n0\r\n\r\n",
    "bare CR in an extension": b"1;a=\rb\r\na\r\n0\r\n\r\n",
    "a forbidden trailer": b"0\r\nContent-Length: 3\r\n\r\n",
    "a broken trailer": b"0\r\nX y\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_head_is_400_and_the_end(http, case):
    probe = Probe(ok)
    async with talking(probe, http=http) as client:
        await client.send(BROKEN[case] + get("/smuggled"))
        response = await client.response()
        assert response.status == 400
        assert response.header(b"connection") == b"close"
        assert await client.closed()
    assert probe.scopes == []


@pytest.mark.parametrize("case", BROKEN_CONTENT)
async def test_broken_chunks_are_400_and_the_end(http, case):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            arrived.set()

    arrived = asyncio.Event()
    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(CHUNKED + b"1\r\na\r\n")
        await within(arrived.wait())
        await client.send(BROKEN_CONTENT[case] + get("/smuggled"))
        assert (await client.response()).status == 400
        assert await client.closed()
        await probe.end()  # the application has been told that there is no more to come
    assert [scope["path"] for scope in probe.scopes] == ["/"]


@pytest.mark.parametrize("case", BROKEN_CONTENT)
async def test_broken_chunks_behind_their_head_are_400_and_the_end(http, case):
    probe = Probe(ok)
    async with talking(probe, http=http) as client:
        await client.send(CHUNKED + BROKEN_CONTENT[case] + get("/smuggled"))
        assert (await client.response()).status == 400
        assert await client.closed()


async def test_broken_chunks_within_a_begun_response_break_it_off(http):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(CHUNKED)
        await client.head()
        await client.send(b"zz\r\n")
        assert await client.rest() == b"1\r\nx\r\n"
        await probe.end()


@pytest.mark.parametrize("line", ["Upgrade: h2c", "Upgrade: h2c, foo/2", "Upgrade: TLS/1.0"])
async def test_an_upgrade_nobody_wants_is_ignored(http, line):
    """The content is delivered, and the next request is served."""
    lines = ("Connection: Upgrade, HTTP2-Settings", line, "HTTP2-Settings: AAMAAABk")
    async with talking(ok, http=http) as client:
        request = get("/a", *lines, "Content-Length: 3", method="POST") + b"abc"
        await client.send(request + get("/b", *lines) + get("/c"))
        for body in (b"/aabc", b"/b", b"/c"):
            response = await client.response()
            assert (response.status, response.body) == (200, body)


# -- line 25: limits


@pytest.mark.parametrize(
    ("settings", "request_bytes", "status"),
    [
        ({"limit_request_line": 100}, get("/" + "x" * 100), 414),
        ({"limit_request_line": 100}, b"GET /" + b"x" * 100, 414),
        ({"limit_header_size": 300}, get("/", "X: " + "x" * 300), 431),
        ({"limit_header_size": 300}, get("/", "X: " + "x" * 300)[:-4], 431),
        ({"limit_header_count": 3}, get("/", "A: 1", "B: 2", "C: 3"), 431),
        ({"limit_body_size": 10}, get("/", "Content-Length: 11", method="POST"), 413),
        ({"limit_body_size": 10}, CHUNKED + b"8\r\nabcdefgh\r\n3\r\nabc\r\n", 413),
    ],
)
async def test_over_a_limit_there_is_a_status_of_its_own_and_the_end(
    http, settings, request_bytes, status
):
    async with talking(ok, http=http, **settings) as client:
        await client.send(request_bytes)
        response = await client.response()
        assert response.status == status
        assert response.header(b"connection") == b"close"
        assert await client.closed()


@pytest.mark.parametrize(
    ("settings", "request_bytes"),
    [
        ({"limit_request_line": 100}, get("/" + "x" * 80)),
        ({"limit_header_size": 300}, get("/", "X: " + "x" * 200)),
        ({"limit_header_count": 3}, get("/", "A: 1", "B: 2")),
        ({"limit_body_size": 10}, get("/", "Content-Length: 10", method="POST") + bytes(10)),
        ({"limit_body_size": 10}, CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n"),
    ],
)
async def test_under_the_limit_there_is_a_response(http, settings, request_bytes):
    async with talking(ok, http=http, **settings) as client:
        for _ in range(2):
            await client.send(request_bytes)
            assert (await client.response()).status == 200


async def test_over_the_limit_of_requests_at_once_there_is_503(http):
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        arrived.set()
        await gate.wait()
        await respond(send, b"ok")

    async with (
        running(app, http=http, lifespan="off", limit_concurrency=1) as server,
        await server.connect() as client,
    ):
        await client.send(get())
        await arrived.wait()
        refused = await server.exchange(get())
        assert refused.status == 503
        assert refused.header(b"retry-after") is not None
        gate.set()
        assert (await client.response()).status == 200
        assert (await server.exchange(get())).status == 200


async def test_a_head_that_stops_coming_is_408(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        await client.send(b"GET / HTTP/1.1\r\nHos")
        assert (await client.response()).status == 408
        assert await client.closed()


# -- line 26


async def test_connect_is_501(http):
    probe = Probe(ok)
    async with talking(probe, http=http) as client:
        await client.send(b"CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\n\r\n" + get())
        assert (await client.response()).status == 501
        assert await client.closed()
    assert probe.scopes == []


async def test_options_for_the_whole_server_is_answered(http):
    async with talking(ok, http=http) as client:
        await client.send(get("*", method="OPTIONS"))
        response = await client.response()
        assert (response.status, response.body) == (200, b"*")


async def test_the_http_2_preface_is_refused_cleanly(http):
    probe = Probe(ok)
    async with talking(probe, http=http, http2="off") as client:
        await client.send(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        )
        assert (await client.response()).status == 505
        assert await client.closed()
    assert probe.scopes == []


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.0"])
async def test_another_version_is_505(http, version):
    async with talking(ok, http=http) as client:
        await client.send(get(version=version))
        assert (await client.response()).status == 505
        assert await client.closed()


async def test_a_later_minor_version_is_served_as_http_1_1(http):
    """RFC 9110 §2.5."""
    async with talking(ok, http=http) as client:
        for _ in range(2):
            await client.send(get(version="1.2"))
            assert (await client.response()).status == 200


async def test_an_unknown_transfer_coding_is_501(http):
    async with talking(ok, http=http) as client:
        await client.send(get("/", "Transfer-Encoding: gzip, chunked", method="POST"))
        assert (await client.response()).status == 501
        assert await client.closed()


async def test_a_refusal_tells_the_client_nothing_of_what_it_sent(http):
    async with talking(ok, http=http) as client:
        await client.send(get("/<script>", "X(<script>: a"))
        response = await client.response()
        assert b"script" not in response.head + response.body
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"


async def test_a_refused_request_with_broken_content_behind_it_is_refused_once(http, caplog):
    app = Probe(ok)
    lines = "Upgrade: websocket", "Connection: Upgrade", "Transfer-Encoding: chunked"
    async with talking(app, http=http) as client:
        await client.send(get("/", *lines) + b"zz\r\n")
        assert (await client.response()).status == 400
        assert await client.closed()
    assert app.scopes == []
    assert caplog.records == []
