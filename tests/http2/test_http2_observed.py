"""What the access log and the metrics say of HTTP/2, and that clients that vanish leave nothing."""

from __future__ import annotations

import gc
import weakref

import pytest

from katana_asgi.http2.connection import Http2Connection
from katana_asgi.http2.frames import HEADERS, PREFACE, SETTINGS, frame
from katana_asgi.testing import running
from katana_asgi.worker.measure import snapshot_of
from tests.access_lines import access_lines
from tests.http2.client import Client
from tests.http2.peer import GET, Peer, block


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/stay":
        await receive()
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def lines():
    with access_lines() as found:
        yield found


@pytest.mark.parametrize(
    ("form", "line"),
    [("%(H)s %(m)s %(U)s %(s)s", "HTTP/2.0 GET /a 200"), ("%(r)s", "GET /a?b HTTP/2.0")],
)
async def test_the_access_log_says_http_2(lines, form, line):
    settings = {"access_log": True, "access_log_format": form, "lifespan": "off"}
    async with (
        running(application, **settings) as server,
        await Client.open(server.host, server.port) as client,
    ):
        assert (await client.get("/a?b")).status == 200
        assert await lines.next() == line


async def test_the_log_as_json_has_the_version(lines):
    settings = {"access_log": True, "access_log_format": "json", "lifespan": "off"}
    async with (
        running(application, **settings) as server,
        await Client.open(server.host, server.port) as client,
    ):
        stream = client.begin("/stay")
        await client.until(lambda: client.acknowledged)
        client.reset(stream)
        entry = await lines.entry()
        assert entry["protocol"] == "HTTP/2.0"
        assert entry["remark"] == "client left"


async def test_connections_streams_and_websockets_over_http_2_are_gauges():
    def gauges(server) -> dict[str, int]:
        metrics, context = server.server.metrics, server.server.context
        values = snapshot_of(metrics, context, server.server.balancer)["gauges"]
        return {name: values[name] for name in ("http2", "streams", "websocket", "idle", "active")}

    settings = {"lifespan": "off", "statsd": "127.0.0.1:9"}
    async with running(application, **settings) as server:
        async with await Client.open(server.host, server.port) as client:
            await client.get("/")
            assert gauges(server) == {
                "http2": 1, "streams": 0, "websocket": 0, "idle": 1, "active": 0,
            }  # fmt: skip
            client.begin("/stay")
            version = ("sec-websocket-version", "13")
            socket = client.begin(
                "/socket", version, method="CONNECT", protocol="websocket", end=False
            )
            await client.until(lambda: socket.status == 200)
            assert gauges(server) == {
                "http2": 1, "streams": 2, "websocket": 1, "idle": 0, "active": 1,
            }  # fmt: skip
        assert server.server.metrics.statuses["GET", 200] == 1


def test_clients_that_vanish_in_the_middle_of_a_header_block_leave_nothing_behind():
    half = block(GET)[:7]
    connections = weakref.WeakSet[Http2Connection]()
    for number in range(300):
        peer = Peer(handshake=False)
        connections.add(peer.connection)
        sent = PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 1, 1, half)
        peer.send(sent[: len(sent) - number % 16])
        peer.connection.connection_lost(ConnectionResetError())
        assert not peer.context.clock.watched
        assert not peer.connection.tail
    del peer
    gc.collect()
    assert not connections
