"""Everything that is served over TCP is served over TLS, on both loops."""

from __future__ import annotations

import asyncio
import gc

import httpx
import pytest
from tls_client import connect
from websockets.asyncio.client import connect as websocket

from katana_asgi import Server, StaticRoute
from katana_asgi.http1 import connection as connection_module
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.net.tls_listener import Arrival
from katana_asgi.testing import HttpPeer, running
from tests.applications import Probe, content_of, get, respond, start
from tests.support import TIMEOUT, within

CONNECTION = (Http1Connection, Arrival)

LARGE = bytes(range(256)) * 32768  # 8 MiB


async def echo(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        told = scope["scheme"] + hex(scope["extensions"]["tls"]["tls_version"])
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"] + told})
        return
    await respond(send, await content_of(receive))


async def test_requests_are_answered_one_after_the_other(site):
    async with running(echo, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            for _ in range(3):
                await client.send(get("/", "Content-Length: 3", method="POST") + b"abc")
                assert (await client.response()).body == b"abc"
            await client.send(get() * 5)
            assert [(await client.response()).status for _ in range(5)] == [200] * 5


async def test_the_scope_says_https_and_so_do_the_addresses(site):
    probe = Probe(lambda scope, receive, send: respond(send))
    async with running(probe, lifespan="off", **site.settings) as server:
        assert server.server.places == [f"https://127.0.0.1:{server.port}"]
        async with await connect(server, site.trust) as client:
            await client.send(get() * 2)
            await client.response()
            await client.response()
    assert [scope["scheme"] for scope in probe.scopes] == ["https", "https"]
    assert probe.scopes[0]["client"] is not None
    assert probe.scopes[0]["server"] == ("127.0.0.1", server.port)


async def test_large_content_goes_both_ways(site):
    async with running(echo, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            sending = asyncio.ensure_future(
                client.send(get("/", f"Content-Length: {len(LARGE)}", method="POST"), LARGE)
            )
            assert (await client.response()).body == LARGE
            await sending


async def test_static_routes_answer(site):
    routes = [StaticRoute("/static", "bytes"), StaticRoute("/hi/{name}", "Hi, {name}")]
    async with running(echo, lifespan="off", static_route=routes, **site.settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get("/static") * 4 + get("/hi/you"))
            bodies = [(await client.response()).body for _ in range(5)]
            assert bodies == [b"bytes"] * 4 + [b"Hi, you"]


async def test_a_client_that_does_not_read_holds_up_the_application(site):
    sent = 0

    async def stream(scope, receive, send):
        nonlocal sent
        await start(send, headers=[(b"content-length", b"%d" % (4 * len(LARGE)))])
        for _ in range(4 * len(LARGE) // 65536):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            sent += 65536
        await send({"type": "http.response.body"})

    async with running(stream, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            client.writer.transport.pause_reading()
            await client.send(get())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert sent < 2 * len(LARGE)
            client.writer.transport.resume_reading()
            assert len((await client.response()).body) == 4 * len(LARGE)


@pytest.mark.parametrize("more", [(), ("Connection: keep-alive",)])
async def test_a_response_without_framing_ends_with_the_end_of_tls(site, more):
    async def stream(scope, receive, send):
        await start(send)
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body"})

    async with running(stream, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get("/", *more, version="1.0"))
            assert (await client.response()).body == b"part" * 3


async def test_an_upload_that_is_too_large_is_answered_not_reset(site):
    settings = {"limit_body_size": 1024, **site.settings}
    async with running(echo, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get("/", "Content-Length: 300000", method="POST"), bytes(300000))
            assert (await client.response()).status == 413


async def test_a_client_may_go_on_sending_and_read_its_refusal_later(site):
    settings = {"limit_body_size": 1024, **site.settings}
    async with running(echo, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get("/", "Content-Length: 900000", method="POST"))
            response = await client.head()  # the server has let go
            for _ in range(10):
                await client.send(bytes(30000))
            assert response.status == 413
            assert await within(client.reader.readexactly(18)) == b"content too large\n"
            await client.send(bytes(30000))


async def test_a_broken_response_is_not_taken_for_a_whole_one(site):
    async def broken(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise RuntimeError("on purpose")

    async with running(broken, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get())
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await client.response()
        async with await connect(server, site.trust) as client:
            await client.send(get(version="1.0"))
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await client.response()


async def test_websockets_are_wss(site):
    async with running(echo, lifespan="off", **site.settings) as server:
        url = f"wss://localhost:{server.port}/"
        async with websocket(url, ssl=site.trust, proxy=None) as client:
            for word in ("one", "two", "x" * 100_000):
                await client.send(word)
                assert await within(client.recv()) == word + "wss0x304"


async def test_the_application_hears_that_a_client_has_gone(site, caplog):
    told = asyncio.Event()

    async def wait(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with running(wait, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get())
        await within(told.wait())
    assert caplog.records == []


async def test_a_client_that_takes_nothing_is_reset(site):
    gone = asyncio.Event()

    async def stream(scope, receive, send):
        await start(send)
        try:
            while True:
                await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        except OSError:
            gone.set()

    settings = {"timeout_write": 0.5, "disconnect": "raise", **site.settings}
    async with running(stream, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            client.writer.transport.pause_reading()
            await client.send(get())
            await within(gone.wait())


async def test_a_unix_socket_speaks_tls_too(site):
    path = str(site.folder / "app.sock")
    settings = {"uds": path, "access_log": False, "lifespan": "off", **site.settings}
    async with Server(echo, **settings):
        opening = asyncio.open_unix_connection(path, ssl=site.trust, server_hostname="localhost")
        async with HttpPeer(*await within(opening)) as client:
            await client.send(get())
            assert (await client.response()).status == 200


async def test_httpx_gets_its_answers(site):
    async with running(echo, lifespan="off", **site.settings) as server:
        url = f"https://localhost:{server.port}/"
        async with httpx.AsyncClient(verify=site.trust, trust_env=False) as client:
            for content in (b"one", LARGE):
                assert (await client.post(url, content=content)).content == content


def _connections(others):
    known = set(map(id, others))
    return [
        each for each in gc.get_objects() if isinstance(each, CONNECTION) and id(each) not in known
    ]


async def test_a_connection_that_has_gone_leaves_nothing_for_the_collector(site):
    async with running(echo, lifespan="off", **site.settings) as server:
        for _ in range(2):  # what is made once and kept is made the first time
            gc.collect()
            others = _connections([])  # whatever other tests have kept
            gc.disable()
            try:
                async with await connect(server, site.trust) as client:
                    await client.send(get())
                    await client.response()
                del client
                deadline = asyncio.get_running_loop().time() + TIMEOUT
                while left := _connections(others):
                    assert asyncio.get_running_loop().time() < deadline, left
                    await asyncio.sleep(0.05)
            finally:
                gc.enable()


async def test_shutdown_finishes_what_runs_and_closes_what_is_idle(site):
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await go.wait()
        await respond(send, b"done")

    async with running(slow, lifespan="off", **site.settings) as server:
        async with (
            await connect(server, site.trust) as busy,
            await connect(server, site.trust) as idle,
        ):
            await busy.send(get())
            await within(begun.wait())
            closing = asyncio.ensure_future(server.server.close())
            assert await idle.closed()
            go.set()
            response = await busy.response()
            assert (response.body, response.header(b"connection")) == (b"done", b"close")
            assert await busy.closed()
        await within(closing)


async def test_shutdown_delivers_an_answer_that_the_client_has_not_read(site, monkeypatch):
    """Requests behind it are not answered, and do not take it back."""
    monkeypatch.setattr(connection_module, "LINGER", 0.01)
    size = 16 * 2**20
    asked = []

    async def large(scope, receive, send):
        asked.append(scope["path"])
        await respond(send, bytes(size))

    settings = {"timeout_graceful_shutdown": 3600, "timeout_ws_close": 0.5, **site.settings}
    async with running(large, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            client.writer.transport.pause_reading()
            await client.send(get("/") + get("/held"))
            (connection,) = server.server.context.clock.watched
            while not connection.writing.write_paused:
                await asyncio.sleep(0)
            await client.send(get("/behind") * 200)
            closing = asyncio.ensure_future(server.server.close())
            await asyncio.sleep(0)
            answered = asked.copy()  # TLS of the client may take more than it was asked to
            client.writer.transport.resume_reading()
            for _ in answered:
                assert len((await client.response()).body) == size
            assert await client.closed()
        await within(closing)
    assert asked == answered
    assert "/behind" not in answered
