"""Clients that vanish with a reset, at each stage of a connection; and nothing of them stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.applications import content_of, get, respond, start
from tests.faults.leftovers import everything_gone, leftovers, objects
from tests.raw_client import RawClient
from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from katana_asgi.testing import HttpPeer

    Stage = Callable[[HttpPeer], Awaitable[None]]

STATIC = StaticRoute(path="/static", body="cached")

POST = get("/echo", "Content-Length: 10", method="POST")
CHUNKED = get("/echo", "Transfer-Encoding: chunked", method="POST")


async def app(scope, receive, send):
    """``/echo`` answers with the content, ``/wait`` waits for the client to go, ``/stream``
    streams until sending fails, everything else is answered at once."""
    if scope["path"] == "/echo":
        await respond(send, await content_of(receive))
    elif scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        await respond(send)
    elif scope["path"] == "/stream":
        await start(send)
        while True:
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
            await asyncio.sleep(0)
    else:
        await respond(send, b"served")


async def at_once(client):
    """Not a byte was sent."""


async def within_the_head(client):
    await client.send(b"GET / HTTP/1.1\r\nHost: exa")


async def behind_an_empty_line(client):
    await client.send(b"\r\n\r\n")


async def behind_the_head_of_a_body(client):
    await client.send(POST)


async def within_a_body(client):
    await client.send(POST + b"12345")


async def within_a_chunk(client):
    await client.send(CHUNKED + b"A\r\n12345")


async def within_a_chunk_size(client):
    await client.send(CHUNKED + b"3\r\nabc\r\n7")


async def within_trailers(client):
    await client.send(CHUNKED + b"0\r\nX: y\r\nZ")


async def before_100_continue(client):
    await client.send(get("/wait", "Content-Length: 5", "Expect: 100-continue", method="PUT"))
    await client.head()


async def while_the_application_waits(client):
    await client.send(get("/wait"))


async def with_more_requests_waiting(client):
    await client.send(get("/wait") + get("/") * 20 + b"GET /half HT")


async def within_a_response(client):
    await client.send(get("/stream"))
    await client.head()


async def within_a_response_to_1_0(client):
    await client.send(get("/stream", version="1.0"))
    await client.head()


async def right_after_a_request(client):
    await client.send(get("/"))


async def right_after_many_requests(client):
    await client.send(get("/") * 50)


async def after_a_response(client):
    await client.send(get("/"))
    await client.response()


async def after_static_routes(client):
    await client.send(get("/static") * 3)
    for _ in range(3):
        await client.response()


async def after_a_refusal(client):
    await client.send(b"GET / HTTP/7.7\r\n\r\n")
    assert (await client.response()).status == 505


async def with_unread_content(client):
    await client.send(get("/", "Content-Length: 100", method="POST") + b"some")
    await client.response()


STAGES = [
    at_once,
    within_the_head,
    behind_an_empty_line,
    behind_the_head_of_a_body,
    within_a_body,
    within_a_chunk,
    within_a_chunk_size,
    within_trailers,
    before_100_continue,
    while_the_application_waits,
    with_more_requests_waiting,
    within_a_response,
    within_a_response_to_1_0,
    right_after_a_request,
    right_after_many_requests,
    after_a_response,
    after_static_routes,
    after_a_refusal,
    with_unread_content,
]

SERVED = {"lifespan": "off", "static_route": (STATIC,), "timeout_disconnect": 0}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("end", ["reset", "close"])
async def test_a_client_that_vanishes_leaves_nothing(http, stage: Stage, end, no_collector):
    async with running(app, http=http, **SERVED) as server:

        async def vanish(times: int) -> None:
            for _ in range(times):
                client = await server.connect()
                await stage(client)
                if end == "reset":
                    client.reset()
                else:
                    client.writer.close()
            await within(everything_gone(server))

        await vanish(3)
        before = leftovers()
        await vanish(10)
        assert not leftovers() - before
        assert (await server.exchange(get())).body == b"served"


@pytest.mark.parametrize("stage", [while_the_application_waits, within_a_response])
async def test_many_that_vanish_at_once_harm_nobody_else(http, stage):
    async with running(app, http=http, **SERVED) as server, await server.connect() as steady:
        for _ in range(3):
            clients = [await server.connect() for _ in range(50)]
            await asyncio.gather(*map(stage, clients))
            for client in clients:
                client.reset()
            await steady.send(get())
            assert (await steady.response()).body == b"served"
        await within(everything_gone_but_one(server))


async def everything_gone_but_one(server) -> None:
    while server.server.connections > 1:
        await asyncio.sleep(0.001)


async def test_a_client_that_vanishes_while_its_upload_is_paused_is_noticed(http):
    gate = asyncio.Event()

    async def slow(scope, receive, send):
        await gate.wait()
        await content_of(receive)

    async with running(slow, http=http, **SERVED) as server:
        client = await RawClient.open(server.host, server.port)
        await client.send(get("/", "Content-Length: 100000000", method="PUT") + bytes(10**6))
        client.reset()
        gate.set()
        await within(everything_gone(server))


# -- by the thousand


async def test_thousands_of_requests_leave_nothing(http, no_collector):
    """With the collector off: what a request makes must go with it."""
    kinds = [
        get("/"),
        get("/static"),
        get("/?query"),
        get("/echo", "Content-Length: 3", method="POST") + b"abc",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
        get("/", method="HEAD"),
    ]
    methods = ["GET", "GET", "GET", "POST", "POST", "HEAD"]
    async with running(app, http=http, **SERVED) as server, await server.connect() as client:

        async def ask(times: int) -> None:
            for _ in range(times):
                for request, method in zip(kinds, methods, strict=True):
                    await client.send(request)
                    assert (await client.response(method)).status == 200

        await ask(20)
        await asyncio.sleep(0)
        before, objects_before = leftovers(), objects()
        await ask(300)
        await asyncio.sleep(0)
        assert not leftovers() - before
        assert objects() - objects_before < 100


async def test_a_thousand_connections_leave_nothing(http, no_collector):
    async with running(app, http=http, **SERVED) as server:

        async def come_and_go(times: int) -> None:
            for number in range(times):
                async with await server.connect() as client:
                    await client.send(get("/static" if number % 2 else "/", "Connection: close"))
                    assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
            await within(everything_gone(server))

        await come_and_go(20)
        before = leftovers()
        await come_and_go(1000)
        assert not leftovers() - before


async def test_a_thousand_that_are_refused_leave_nothing(http, no_collector):
    async with running(app, http=http, **SERVED) as server:

        async def be_refused(times: int) -> None:
            for _ in range(times):
                async with await server.connect() as client:
                    await client.send(b"GET  / HTTP/1.1\r\n\r\n")
                    assert (await client.response()).status == 400
            await within(everything_gone(server))

        await be_refused(10)
        before = leftovers()
        await be_refused(300)
        assert not leftovers() - before
