"""What a worker says of its connections and requests: each is counted as what it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from katana_asgi import StaticRoute
from katana_asgi.testing import HttpPeer, Running, WebSocketPeer, running
from katana_asgi.worker.measure import Publisher
from tests.applications import get, respond
from tests.support import TIMEOUT, within
from tests.websocket_peer import accept, disconnected

if TYPE_CHECKING:
    from pathlib import Path

PROXY = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"

SETTINGS = {"lifespan": "off", "admin_bind": "127.0.0.1:0"}


class Channel:
    """Instead of the one to a supervisor: keeps what is published."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)


def snapshot(server: Running) -> dict[str, Any]:
    """What a worker publishes now."""
    channel = Channel()
    Publisher(server.server, channel, None).publish()  # type: ignore[arg-type]
    (message,) = channel.told
    assert message["type"] == "metrics"
    return message["snapshot"]


def connections(server: Running) -> dict[str, int]:
    """How many connections are what; those of no kind are left out."""
    gauges = snapshot(server)["gauges"]
    return {kind: gauges[kind] for kind in ("idle", "active", "websocket") if gauges[kind]}


async def until(server: Running, expected: dict[str, int]) -> None:
    """Wait until the connections of a server are these."""
    async with asyncio.timeout(TIMEOUT):
        while connections(server) != expected:
            await asyncio.sleep(0.001)


async def app(scope, receive, send) -> None:
    """Keeps WebSockets open, answers everything else."""
    if scope["type"] == "websocket":
        await accept(receive, send)
        await disconnected(receive)
    else:
        await respond(send, b"ok")


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, Path]:
    """The settings of a server that speaks TLS."""
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    return {"ssl_certfile": tmp_path / "both.pem"}


async def test_a_client_whose_proxy_header_is_not_there_yet_is_no_websocket():
    async with running(app, proxy_protocol=True, **SETTINGS) as server:
        async with await server.connect() as client:
            await until(server, {"idle": 1})
            await client.send(PROXY + get())
            await client.response()
            await until(server, {"idle": 1})
        await until(server, {})


async def test_a_client_amid_its_tls_handshake_is_no_websocket(certificate):
    async with running(app, **SETTINGS, **certificate) as server:
        async with await server.connect():
            await until(server, {"active": 1})
        await until(server, {})


async def test_a_websocket_is_one_and_nothing_else_is():
    async with running(app, proxy_protocol=True, **SETTINGS) as server:
        async with await server.connect() as client:
            await client.send(PROXY)
            peer = await WebSocketPeer.over(client)
            await until(server, {"websocket": 1})
            async with await server.connect():
                await until(server, {"websocket": 1, "idle": 1})
            await peer.leave()
            await until(server, {})
        assert snapshot(server)["counters"]["websockets"] == 1


async def test_what_is_sent_on_to_https_counts_as_that_and_not_as_a_static_response(certificate):
    routes = (StaticRoute(path="/static", body="cached"),)
    settings = {"static_route": routes, "redirect_bind": "127.0.0.1:0", **SETTINGS}
    async with running(app, **settings, **certificate) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        for target in ("/", "/static"):
            async with await HttpPeer.open("127.0.0.1", port) as client:
                await client.send(get(target))
                assert (await within(client.response())).status == 308
        counters = snapshot(server)["counters"]
    assert (counters["static"], counters["redirects"]) == (0, 2)


async def test_static_responses_are_counted_as_such():
    routes = (StaticRoute(path="/static", body="cached"),)
    async with running(app, static_route=routes, **SETTINGS) as server:
        async with await server.connect() as client:
            for target in ("/static", "/", "/static"):
                await client.send(get(target))
                await client.response()
        counters = snapshot(server)["counters"]
    assert (counters["static"], counters["redirects"]) == (2, 0)
