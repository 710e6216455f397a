"""The end of a server whose clients have not read yet what it has answered them.

What is under way is delivered, whatever the client has asked for behind it: a connection that is
closed with requests unread is reset by the kernel, and what the client had not taken is lost.
"""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi import StaticRoute
from katana_asgi.http1 import connection as connection_module
from katana_asgi.testing import running
from katana_asgi.worker.channel import ShutdownMode
from tests.applications import Probe, get, respond, start
from tests.raw_client import RawClient
from tests.support import within

LONG = 3600.0
"""A budget that no test waits for."""

SIZE = 8 * 2**20
"""Bytes of an answer: more than the buffers of the kernel take, so that writing pauses."""

SETTINGS = {
    "lifespan": "off",
    "timeout_graceful_shutdown": LONG,
    "static_route": (StaticRoute(path="/static", body="x" * SIZE),),
}

BEHIND = get("/behind") * 200
"""Requests that wait in the kernel, since nobody reads them."""


async def big(scope, receive, send):
    """Answer ``/big`` in one piece and ``/stream`` in many, each as large; others shortly."""
    if scope["path"] == "/stream":
        await start(send, headers=[(b"content-length", b"%d" % SIZE)])
        piece = {"type": "http.response.body", "body": bytes(2**16), "more_body": True}
        for _ in range(SIZE // 2**16):
            await send(piece)
        await send({"type": "http.response.body"})
    else:
        await respond(send, bytes(SIZE) if scope["path"] == "/big" else b"small")


def only_connection(server):
    """The server's side of the one client there is."""
    (connection,) = server.server.context.clock.watched
    return connection


async def write_paused(server) -> None:
    """Wait until more waits to be sent than the server wants to keep."""
    while not (server.server.connections and only_connection(server).writing.write_paused):
        await asyncio.sleep(0)


async def ask(server, client, target: str) -> None:
    """Ask for more than the client takes, then for more, which stays unread."""
    await client.send(get(target) + get("/held"))
    await write_paused(server)
    await client.send(BEHIND)


async def ticks(server, count: int) -> None:
    """Let the server's clock tick."""
    ticked = asyncio.Semaphore(0)
    server.server.every_tick(ticked.release)
    for _ in range(count):
        await within(ticked.acquire())


async def whole(client) -> bytes:
    """Everything until the server's end, in order; fails where it resets."""
    received = bytearray()
    while data := await client.read(2**20):
        received += data
    return bytes(received)


@pytest.mark.parametrize("target", ["/big", "/stream", "/static"])
async def test_an_answer_on_its_way_arrives_whole_and_nothing_behind_it_is_answered(http, target):
    probe = Probe(big)
    async with running(probe, http=http, **SETTINGS) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await ask(server, client, target)
            closed = asyncio.ensure_future(server.server.close())
            await asyncio.sleep(0)
            head, _, content = (await whole(client)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(content) == SIZE
        await within(closed)
    assert not {"/held", "/behind"} & {scope["path"] for scope in probe.scopes}


@pytest.mark.parametrize("target", ["/big", "/static"])
async def test_a_client_that_takes_its_time_may_go_on_sending_meanwhile(http, target, monkeypatch):
    """The time to linger is for what comes after the last byte, not for the bytes before it."""
    monkeypatch.setattr(connection_module, "LINGER", 0.01)
    async with running(big, http=http, timeout_ws_close=0.1, **SETTINGS) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await ask(server, client, target)
            closed = asyncio.ensure_future(server.server.close())
            await ticks(server, 10)
            await client.send(BEHIND)
            assert len((await whole(client)).partition(b"\r\n\r\n")[2]) == SIZE
        await within(closed)


@pytest.mark.parametrize("target", ["/big", "/stream", "/static"])
async def test_with_a_grace_the_next_request_is_answered_and_told_that_it_is_the_last(http, target):
    """The answer on its way has not said so, and the client may wait for the others for ever."""
    probe = Probe(big)
    settings = {"timeout_drain_idle": LONG, **SETTINGS}
    async with running(probe, http=http, **settings) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await ask(server, client, target)
            server.server.stop(mode=ShutdownMode.HANDOVER)
            closed = asyncio.ensure_future(server.server.close())
            await asyncio.sleep(0)
            content = (await whole(client)).partition(b"\r\n\r\n")[2]
        head, _, last = content[SIZE:].partition(b"\r\n\r\n")
        assert b"\r\nconnection: close" in head
        assert last == b"small"
        await within(closed)
    assert [scope["path"] for scope in probe.scopes][-1] == "/held"


@pytest.mark.parametrize("target", ["/big", "/stream", "/static"])
@pytest.mark.parametrize("mode", [ShutdownMode.PROMPT, ShutdownMode.HANDOVER])
async def test_a_client_that_reads_nothing_cannot_outstay_the_budget(http, target, mode):
    settings = {**SETTINGS, "timeout_graceful_shutdown": 0.05}
    async with running(big, http=http, **settings) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await ask(server, client, target)
            server.server.stop(mode=mode)
            await within(server.server.close())
            assert server.server.connections == 0
