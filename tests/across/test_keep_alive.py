"""How long a connection lives between, before and within requests (RFC 9112 §9)."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi import StaticRoute
from katana_asgi.http1 import connection as http1_connection
from katana_asgi.testing import running
from tests.applications import get, respond, start
from tests.raw_client import RawClient
from tests.support import talking, within

ROUTES = {"static_route": (StaticRoute(path="/static", body=b"static"),)}

TARGETS = pytest.mark.parametrize("target", ["/app", "/static"])


async def ok(scope, receive, send):
    await respond(send, b"ok")


# -- who wants the connection to persist


@TARGETS
async def test_http_1_1_persists_without_a_word(http, target):
    async with talking(ok, http=http, **ROUTES) as client:
        for _ in range(3):
            await client.send(get(target))
            response = await client.response()
            assert response.headers_named(b"connection") == []
        assert response.status == 200


@TARGETS
@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: close"],
        ["Connection: Close"],
        ["Connection: keep-alive, close"],
        ["Connection: x,close ,y"],
        ["Connection: keep-alive", "Connection: close"],
    ],
)
async def test_http_1_1_closes_when_asked(http, target, lines):
    async with talking(ok, http=http, **ROUTES) as client:
        await client.send(get(target, *lines))
        response = await client.response()
        assert response.header(b"connection") == b"close"
        assert response.status == 200
        assert await client.closed()


@TARGETS
@pytest.mark.parametrize("line", ["Connection: closed", "Connection: not-close", "X: close"])
async def test_only_the_word_close_closes(http, target, line):
    async with talking(ok, http=http, **ROUTES) as client:
        for _ in range(2):
            await client.send(get(target, line))
            assert (await client.response()).headers_named(b"connection") == []


@TARGETS
async def test_http_1_0_closes_without_a_word(http, target):
    async with talking(ok, http=http, **ROUTES) as client:
        await client.send(get(target, version="1.0"))
        response = await client.response()
        assert response.header(b"connection") == b"close"
        assert response.header(b"content-length") is not None
        assert await client.closed()


@TARGETS
async def test_http_1_0_persists_when_asked_and_is_told_so(http, target):
    async with talking(ok, http=http, **ROUTES) as client:
        for _ in range(2):
            await client.send(get(target, "Connection: Keep-Alive", version="1.0"))
            assert (await client.response()).header(b"connection") == b"keep-alive"


async def test_versions_may_change_from_request_to_request(http):
    async with talking(ok, http=http, **ROUTES) as client:
        await client.send(get("/a"))
        assert (await client.response()).headers_named(b"connection") == []
        await client.send(get("/a", "Connection: keep-alive", version="1.0"))
        assert (await client.response()).header(b"connection") == b"keep-alive"
        await client.send(get("/a"))
        assert (await client.response()).headers_named(b"connection") == []


async def test_an_http_1_0_client_without_host_is_served(http):
    async with talking(ok, http=http) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.response()).body == b"ok"


# -- between requests


@TARGETS
async def test_an_idle_connection_is_closed_without_a_byte(http, target):
    async with talking(ok, http=http, timeout_keep_alive=0.05, **ROUTES) as client:
        for _ in range(2):
            await client.send(get(target))
            await client.response()
        assert await client.closed()


async def test_a_connection_that_sends_nothing_is_closed_without_a_byte(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        assert await client.closed()


@TARGETS
@pytest.mark.parametrize("together", [False, True])
async def test_an_empty_line_begins_no_request(http, target, together):
    """Old clients end their content with one; being idle after it is no timeout to answer."""
    async with talking(ok, http=http, timeout_keep_alive=0.05, **ROUTES) as client:
        await client.send(*([get(target) + b"\r\n"] if together else [get(target), b"\r\n"]))
        await client.response()
        assert await client.closed()


async def test_a_head_behind_an_empty_line_has_its_own_time(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        await client.send(get())
        await client.response()
        await client.send(b"\r\n")
        await client.send(b"GET")
        assert (await client.response()).status == 408


# -- within a head


@pytest.mark.parametrize("half", [b"G", b"GET / HTTP/1.1\r\n", get()[:-2]])
@pytest.mark.parametrize("before", [0, 1])
async def test_half_a_head_is_answered_with_408(http, half, before):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        for _ in range(before):
            await client.send(get())
            await client.response()
        await client.send(half)
        response = await client.response()
        assert response.status == 408
        assert response.header(b"connection") == b"close"
        assert await client.closed()


async def test_half_a_head_behind_a_request_is_answered_with_408(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        await client.send(get() + b"GET /2 HT")
        assert (await client.response()).status == 200
        assert (await client.response()).status == 408
        assert await client.closed()


async def test_half_a_head_behind_a_static_route_is_answered_with_408(http):
    async with talking(ok, http=http, timeout_header=0.1, **ROUTES) as client:
        await client.send(get("/static") * 2 + b"GET /2 HT")
        assert (await client.response()).body == b"static"
        assert (await client.response()).body == b"static"
        assert (await client.response()).status == 408


async def test_a_head_that_drips_has_no_more_time_than_another(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        answer = asyncio.ensure_future(client.response())
        while not answer.done():
            client.writer.write(b"X")
            await asyncio.wait({answer}, timeout=0.02)
        assert (await answer).status == 408


async def test_a_head_in_two_reads_in_time_is_served(http):
    async with talking(ok, http=http, timeout_header=30) as client:
        await client.send(get()[:10], get()[10:])
        assert (await client.response()).status == 200


# -- no timeout reaches a running exchange


async def test_a_slow_application_is_no_idle_connection(http):
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            await gate.wait()
            await start(send)
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            arrived.set()
            gate.clear()
            await gate.wait()
        else:
            await start(send)
        await send({"type": "http.response.body", "body": b"b"})

    settings = {"timeout_keep_alive": 0.05, "timeout_header": 0.1}
    async with (
        running(app, http=http, lifespan="off", **settings) as server,
        await server.connect() as slow,
    ):
        await slow.send(get("/slow"))
        for begun in (False, True):
            # The life of an idle connection and of one without a request pass meanwhile.
            async with await server.connect() as idle, await server.connect() as silent:
                await idle.send(get("/"))
                await idle.response()
                assert await idle.closed()
                assert await silent.closed()
            gate.set()
            if not begun:
                await within(arrived.wait())
        assert (await slow.response()).body == b"ab"


async def test_content_that_stops_coming_after_the_response_ends_the_connection(http):
    async with talking(ok, http=http, timeout_header=0.1) as client:
        await client.send(get("/", "Content-Length: 10", method="POST") + b"abc")
        assert (await client.response()).status == 200
        assert await client.closed()


# -- refused and let go


async def closes(scope, receive, send):
    await respond(send, b"last", headers=[(b"connection", b"close")])


ENDINGS = {
    "the application": (closes, {}, "/app"),
    "a limit": (ok, {"limit_keep_alive_requests": 1}, "/app"),
    "a limit on static routes": (ok, {"limit_keep_alive_requests": 1, **ROUTES}, "/static"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_client_may_go_on_sending_after_the_last_answer_without_losing_it(http, ending):
    """RFC 9112 §9.6: a reset may take the answer away before the client has read it."""
    app, settings, target = ENDINGS[ending]
    async with running(app, http=http, **settings) as server:
        async with await server.connect() as client:
            await client.send(get(target))
            response = await client.response()
            assert response.header(b"connection") == b"close"
            assert await client.closed()
            assert server.server.connections == 1  # half of it
            for _ in range(50):
                client.writer.write(get(target) * 100)
                await within(client.writer.drain())
                await asyncio.sleep(0)
        assert not client.reader.exception()
        await within(gone(server))


@pytest.mark.parametrize("later", [b"", b"more"])
async def test_a_client_that_vanishes_at_the_last_answer_is_no_error(http, caplog, later):
    """The write fails before the loop has heard of the reset; so there is nothing to end."""
    clients = []

    async def app(scope, receive, send):
        while not clients:
            await asyncio.sleep(0)
        clients.pop().reset()
        await start(send, headers=[(b"connection", b"close")])
        await send({"type": "http.response.body", "body": b"x" * 100000, "more_body": bool(later)})
        if later:
            await send({"type": "http.response.body", "body": later})

    async with running(app, http=http, lifespan="off") as server:
        client = await RawClient.open(server.host, server.port)
        await client.send(get())
        clients.append(client)
        await within(gone(server))
        assert not server.server.context.running
    assert not caplog.records


async def gone(server) -> None:
    while server.server.connections:
        await asyncio.sleep(0.001)


async def test_a_client_that_asked_for_the_end_is_closed_at_once(http):
    """Nothing more can come from it, and nobody waits; whether its head is known or not."""
    async with running(ok, http=http, **ROUTES) as server:
        for target in ("/app", "/static"):
            for request in (get(target, "Connection: close"), get(target, version="1.0")) * 4:
                async with await server.connect() as client:
                    await client.send(request)
                    assert (await client.response()).status == 200
                    assert await client.closed()
                    assert server.server.connections == 0


async def test_a_client_that_stays_after_the_last_answer_is_let_go(http):
    async with running(closes, http=http, timeout_header=0.1) as server:
        async with await server.connect() as client:
            await client.send(get())
            await client.response()
            await within(gone(server))


@pytest.fixture
def little_patience(monkeypatch) -> None:
    """Half a second for a client that never stops, and not half a minute."""
    monkeypatch.setattr(http1_connection, "LINGER", 0.5)  # until it is checked for the first time
    monkeypatch.setattr(http1_connection, "LINGER_LONG", 0.4)


@pytest.mark.usefixtures("little_patience")
async def test_a_client_that_never_stops_after_the_last_answer_is_cut_off(http):
    async with talking(closes, http=http) as client:
        await client.send(get())
        await client.response()
        with pytest.raises(ConnectionError):
            await flood(client)


async def test_a_refused_client_may_go_on_sending_without_losing_the_answer(http):
    async with talking(ok, http=http, limit_body_size=1000) as client:
        client.writer.write(get("/", "Content-Length: 500000", method="POST"))
        for _ in range(50):
            client.writer.write(bytes(10000))
            await asyncio.sleep(0)
        assert (await client.response()).status == 413
        assert await client.closed()


@pytest.mark.usefixtures("little_patience")
async def test_a_refused_client_that_never_stops_is_cut_off(http):
    async with talking(ok, http=http) as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response()).status == 400
        with pytest.raises(ConnectionError):
            await flood(client)


async def flood(client) -> None:
    """Send without end."""
    while True:
        client.writer.write(bytes(100000))
        await within(client.writer.drain())
        await asyncio.sleep(0)
