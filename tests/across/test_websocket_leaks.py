"""Nothing of a WebSocket stays behind, not even for the collector."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from pathlib import Path

import pytest

from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.tunnel import TransportStream
from katana_asgi.testing import WebSocketPeer, opening, running
from katana_asgi.websocket.session import WebSocketSession
from tests.applications import raised_by
from tests.support import within
from tests.websocket.websocket_frames import TEXT, masked
from tests.websocket_peer import accept, bye, disconnected, echo, text

DESCRIPTORS = Path("/proc/self/fd")

KINDS = (Http1Connection, TransportStream, WebSocketSession, asyncio.Task)


@pytest.fixture
def no_collector():
    """What goes has to go by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> dict[str, int]:
    """Objects of a WebSocket that exist now."""
    objects = gc.get_objects()
    return {kind.__name__: sum(isinstance(each, kind) for each in objects) for kind in KINDS}


async def settled() -> None:
    """Let callbacks of what has ended run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def once(server, ending: bytes | str) -> None:
    """A WebSocket that ends in one of the ways there are."""
    connection = await server.connect()
    peer = await WebSocketPeer.over(
        connection, opening("/", "Sec-WebSocket-Extensions: permessage-deflate")
    )
    await peer.send(text("hello"))
    assert await peer.text() == "hello"
    if isinstance(ending, str):
        getattr(connection, ending)()
    else:
        await peer.send(ending)
    if ending != "reset":
        await connection.rest()
    connection.writer.close()


@pytest.mark.parametrize(
    "ending",
    ["reset", "half_close", bye(), masked(TEXT, b"\xff"), text("stop"), text("raise")],
    ids=["reset", "half close", "close", "breach", "return", "raise"],
)
async def test_nothing_stays_behind(http, ending, no_collector, caplog):
    caplog.set_level(logging.CRITICAL, "katana_asgi.error")  # records keep what they tell of
    ended = 0

    async def app(scope, receive, send):
        nonlocal ended
        try:
            await accept(receive, send)
            while (message := await receive())["type"] == "websocket.receive":
                if message["text"] == "stop":
                    return
                if message["text"] == "raise":
                    raise ValueError("as asked")
                await send({"type": "websocket.send", "text": message["text"]})
        finally:
            ended += 1

    settings = {"http": http, "lifespan": "off", "timeout_ws_close": 0.1}
    async with running(app, **settings) as server:

        async def many(number):
            for _ in range(number):
                await within(once(server, ending))
            while server.server.connections:
                await asyncio.sleep(0.01)
            await settled()

        await many(2)
        before = alive()
        await many(10)
        after = alive()
    assert ended == 12
    assert after == before


async def test_what_the_application_got_does_not_keep_the_connection(http, no_collector):
    kept = []

    async def app(scope, receive, send):
        kept.extend([scope, receive, send])
        await accept(receive, send)
        await disconnected(receive)
        await raised_by(send, {"type": "websocket.send", "text": "late"})

    async with running(app, http=http, lifespan="off") as server:
        await settled()
        before = alive()
        async with await server.connect() as connection:
            await (await WebSocketPeer.over(connection)).leave()
        while server.server.connections:
            await asyncio.sleep(0.01)
        await settled()
        after = alive()
        assert after["TransportStream"] == before["TransportStream"]
        assert after["Http1Connection"] == before["Http1Connection"]
        kept.clear()


async def test_receives_that_are_cancelled_leave_nothing(http, no_collector):
    async def app(scope, receive, send):
        await accept(receive, send)
        waiters = []
        for _ in range(100):
            waiting = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiters.append(weakref.ref(waiting))
            waiting.cancel()
            await asyncio.wait([waiting])
            del waiting
        await asyncio.sleep(0)
        left = sum(waiter() is not None for waiter in waiters)
        await send({"type": "websocket.send", "text": str(left)})
        await echo_rest(receive, send)

    async def echo_rest(receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async with running(app, http=http, lifespan="off") as server:
        async with await server.connect() as connection:
            peer = await WebSocketPeer.over(connection)
            assert await peer.text() == "0"
            await peer.send(text("on"))
            assert await peer.text() == "on"
            await peer.leave()


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="descriptors are counted in /proc")
async def test_two_hundred_websockets_leave_no_descriptor(http):
    async with running(echo, http=http, lifespan="off") as server:
        before = len(list(DESCRIPTORS.iterdir()))
        for _ in range(10):
            connections = [await server.connect() for _ in range(20)]
            peers = [await WebSocketPeer.over(connection) for connection in connections]
            await asyncio.gather(*(peer.leave() for peer in peers))
            for connection in connections:
                connection.writer.close()
                await within(connection.writer.wait_closed())
        while server.server.connections:
            await asyncio.sleep(0.01)
        await settled()
        assert len(list(DESCRIPTORS.iterdir())) == before
