"""Static responses as HTTP/1.1 sends them, and how they follow the default fields."""

from __future__ import annotations

import pytest

from katana_asgi import StaticRoute
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http1.default_lines import CLOSE, KEEP_ALIVE, PERSISTENT, DefaultLines
from katana_asgi.http1.static_bytes import static_bytes
from katana_asgi.routes.static import StaticResponse
from katana_asgi.testing import MemoryServer

NOW = 784111777
DATE = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
SERVER = b"server: katana-asgi\r\n"
OK = StaticResponse(200, ((b"content-length", b"2"),), b"ok")


def default_lines(**settings) -> tuple[DefaultFields, DefaultLines]:
    """The default fields, and their lines."""
    fields = DefaultFields(**settings)
    return fields, DefaultLines(fields)


NOTHING = default_lines(date=False, server=None)[1]


def test_default_fields_stand_behind_its_own() -> None:
    fields, lines = default_lines()
    fields.refresh(NOW)
    assert static_bytes(OK, lines, PERSISTENT) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + DATE + SERVER + b"\r\nok"
    )


def test_another_second_leaves_nothing_of_the_one_before() -> None:
    fields, lines = default_lines(server=None)
    fields.refresh(0)
    first = static_bytes(OK, lines, PERSISTENT)
    assert static_bytes(OK, lines, PERSISTENT) is first
    fields.refresh(NOW)
    assert static_bytes(OK, lines, PERSISTENT) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + DATE + b"\r\nok"
    )


def test_workers_with_other_default_fields_do_not_mix() -> None:
    """The listener for redirects has other fields than the one for TLS, and the same routes."""
    _, lines = default_lines()
    for _ in range(2):
        assert SERVER in static_bytes(OK, lines, PERSISTENT)
        assert SERVER not in static_bytes(OK, NOTHING, PERSISTENT)


def test_an_unregistered_status_has_an_empty_phrase() -> None:
    response = StaticResponse(799, ())
    assert static_bytes(response, NOTHING, PERSISTENT) == b"HTTP/1.1 799 \r\n\r\n"


def test_own_fields_replace_the_default_ones_of_the_same_name() -> None:
    fields, lines = default_lines()
    fields.refresh(NOW)
    response = StaticResponse(200, ((b"server", b"mine"),), b"", frozenset({b"server"}))
    for _ in range(2):
        assert static_bytes(response, lines, PERSISTENT) == (
            b"HTTP/1.1 200 OK\r\nserver: mine\r\n" + DATE + b"\r\n"
        )


def test_each_persistence_says_what_its_client_needs_to_hear() -> None:
    response = StaticResponse(200, ())
    assert [static_bytes(response, NOTHING, each) for each in (PERSISTENT, KEEP_ALIVE, CLOSE)] == [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ]


# -- served


async def application(scope, receive, send) -> None:
    """Answers nothing that a route answers."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"application"})


def worker(**route) -> MemoryServer:
    """A worker with one route at /a, and no default fields."""
    return MemoryServer(
        application,
        static_route=(StaticRoute(path="/a", **route),),
        date_header=False,
        server_header=False,
        lifespan="off",
    )


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        (b"GET /a HTTP/1.1", b"", b""),
        (b"GET /a HTTP/1.1", b"Connection: close\r\n", b"connection: close\r\n"),
        (b"GET /a HTTP/1.0", b"Connection: keep-alive\r\n", b"connection: keep-alive\r\n"),
        (b"GET /a HTTP/1.0", b"", b"connection: close\r\n"),
        (
            b"GET /a HTTP/1.1",
            b"If-None-Match: *\r\nConnection: close\r\n",
            b"connection: close\r\n",
        ),
    ],
)
async def test_the_connection_field_fits_the_client(line, fields, expected) -> None:
    async with worker(body="ok", headers=(("ETag", '"x"'),)) as memory:
        sent = await memory.served(line + b"\r\nHost: a\r\n" + fields + b"\r\n")
    status, content = (b"304 Not Modified", b"") if b"If-None" in fields else (b"200 OK", b"ok")
    length = b"content-length: 2\r\n" if content else b""
    kind = b"content-type: text/plain; charset=utf-8\r\n" if content else b""
    assert sent == (
        b'HTTP/1.1 %b\r\n%betag: "x"\r\n%b%b\r\n%b' % (status, kind, length, expected, content)
    )


@pytest.mark.parametrize("line", [b"GET /a HTTP/1.1", b"HEAD /a HTTP/1.1"])
async def test_a_response_that_closes_is_the_connection_s_last(line) -> None:
    request = line + b"\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with worker(body="ok") as memory:
        sent = await memory.served(request + request)
    assert sent.count(b"HTTP/1.1 ") == 1
    assert sent.endswith(b"connection: close\r\n\r\n" + b"ok" * line.startswith(b"GET"))


async def test_an_exclusive_route_refuses_a_method_before_its_content_and_closes() -> None:
    async with worker(body="ok", exclusive=True) as memory:
        sent = await memory.served(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"GET /a HTTP/1.1\r\n"
        )
    assert sent == (
        b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET, HEAD\r\ncontent-length: 0\r\n"
        b"connection: close\r\n\r\n"
    )


async def test_static_and_other_responses_leave_in_the_order_of_their_requests() -> None:
    static, other = (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"a", b"b"))
    async with worker(body="ok") as memory:
        sent = await memory.served(static + static + other + static + other)
    contents = [part[-3:] for part in sent.split(b"HTTP/1.1 ")[1:]]
    assert contents == [b"\nok", b"\nok", b"ion", b"\nok", b"ion"]
