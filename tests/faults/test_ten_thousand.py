"""Ten thousand clients of each kind leave no object, no task and no descriptor behind.

Where not everything is tried, two kinds come ten thousand times and each other one a thousand.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.amounts import repetitions
from tests.applications import get, respond, start
from tests.faults.leftovers import everything_gone, leftovers, objects
from tests.raw_client import RawClient
from tests.support import within

if TYPE_CHECKING:
    from katana_asgi.testing import Running

TIMES = 10_000

THOUSANDS = ("served-close", "within_a_response-reset")
"""The kinds that always come ten thousand times: an answer to its end, and one that breaks off."""

AT_ONCE = 50

ROUTES = (StaticRoute(path="/static", body="cached"),)


async def app(scope, receive, send):
    """``/wait`` waits for the client to go, ``/stream`` streams until then."""
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
    elif scope["path"] == "/stream":
        await start(send)
        while True:
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
            await asyncio.sleep(0)
    elif scope["path"] == "/fail":
        raise ValueError
    else:
        await respond(send, b"served")


async def served(client):
    await client.send(get("/", "Connection: close"))
    assert (await client.read()).endswith(b"served")


async def served_by_a_route(client):
    await client.send(get("/static", "Connection: close"))
    assert (await client.read()).endswith(b"cached")


async def half_a_request(client):
    await client.send(b"GET / HTTP/1.1\r\nHost: exa")


async def half_a_body(client):
    await client.send(get("/wait", "Content-Length: 10", method="POST") + b"12345")


async def aborted(client):
    """The application is still at it."""
    await client.send(get("/wait"))


async def within_a_response(client):
    await client.send(get("/stream"))
    await client.read(100)


async def refused(client):
    await client.send(b"GET  / HTTP/1.1\r\n\r\n")
    assert (await client.read()).startswith(b"HTTP/1.1 400 ")


async def failed(client):
    await client.send(get("/fail"))
    assert (await client.read()).startswith(b"HTTP/1.1 500 ")


KINDS = [
    (served, "close"),
    (served_by_a_route, "close"),
    (half_a_request, "close"),
    (half_a_request, "reset"),
    (half_a_body, "reset"),
    (aborted, "close"),
    (aborted, "reset"),
    (within_a_response, "reset"),
    (refused, "close"),
    (failed, "close"),
]


async def come_and_go(server: Running, kind, end, times: int) -> None:
    async def one() -> None:
        client = await RawClient.open(server.host, server.port)
        await kind(client)
        if end == "reset":
            client.reset()
        else:
            client.sock.close()

    for _ in range(times // AT_ONCE):
        await asyncio.gather(*[one() for _ in range(AT_ONCE)])
    await within(everything_gone(server))


@pytest.mark.parametrize(
    ("kind", "end"), KINDS, ids=[f"{kind.__name__}-{end}" for kind, end in KINDS]
)
async def test_ten_thousand_clients_leave_nothing(kind, end, no_collector):
    settings = {"lifespan": "off", "static_route": ROUTES, "timeout_disconnect": 0}
    async with running(app, **settings) as server:
        await come_and_go(server, kind, end, 10 * AT_ONCE)
        before = leftovers()
        gc.collect()
        objects_before = objects()
        few = f"{kind.__name__}-{end}" not in THOUSANDS
        await come_and_go(server, kind, end, repetitions(TIMES, 1000) if few else TIMES)
        assert not leftovers() - before  # without the collector
        gc.collect()  # what the test's own clients left
        assert objects() - objects_before < 100
