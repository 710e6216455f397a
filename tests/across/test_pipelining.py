"""Requests that are sent before the earlier ones are answered (RFC 9112 §9.3.2)."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.applications import Probe, content_of, get, respond
from tests.support import talking, within

ROUTES = {
    "static_route": (
        StaticRoute(path="/static", body=b"static"),
        StaticRoute(path="/name/{name}", body=b"<{name}>"),
    )
}


class Gatekeeper:
    """Answers with path and content; ``/wait`` waits for the gate; counts calls under way."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.paths: list[str] = []
        self.running = 0
        self.most = 0

    async def __call__(self, scope, receive, send):
        self.running += 1
        self.most = max(self.most, self.running)
        self.paths.append(scope["path"])
        body = await content_of(receive)
        if scope["path"] == "/wait":
            self.arrived.set()
            await self.gate.wait()
        if scope["path"] == "/turns":
            for _ in range(5):
                await asyncio.sleep(0)
        await respond(send, scope["path"].encode() + body)
        self.running -= 1


async def bodies(client, count: int) -> list[bytes]:
    """The contents of the next responses, each of which is a 200."""
    found = []
    for _ in range(count):
        response = await client.response()
        assert response.status == 200
        found.append(response.body)
    return found


async def test_answers_come_in_the_order_of_the_requests(http):
    async with talking(Gatekeeper(), http=http) as client:
        await client.send(get("/1") + get("/turns") + get("/3") + get("/turns") + get("/5"))
        assert await bodies(client, 5) == [b"/1", b"/turns", b"/3", b"/turns", b"/5"]


async def test_one_connection_has_one_exchange_at_a_time(http):
    app = Gatekeeper()
    async with talking(app, http=http) as client:
        await client.send(get("/turns") * 10)
        await bodies(client, 10)
    assert app.most == 1


async def test_content_between_heads_finds_its_request(http):
    requests = [
        get("/a", "Content-Length: 3", method="POST") + b"abc",
        get("/b"),
        get("/c", "Transfer-Encoding: chunked", method="PUT") + b"2\r\nde\r\n0\r\n\r\n",
        get("/d", "Content-Length: 0", method="POST"),
        b"\r\n" + get("/e", "Content-Length: 1", method="POST") + b"f",
    ]
    answers = [b"/aabc", b"/b", b"/cde", b"/d", b"/ef"]
    async with talking(Gatekeeper(), http=http) as client:
        await client.send(b"".join(requests))
        assert await bodies(client, 5) == answers
        stream = b"".join(requests)
        await client.send(*[stream[at : at + 1] for at in range(len(stream))])
        assert await bodies(client, 5) == answers


async def test_a_long_pipeline_is_answered_to_its_end(http):
    async with talking(Gatekeeper(), http=http, **ROUTES) as client:
        count = 1500
        client.writer.write((get("/a") + get("/static")) * count)
        assert await bodies(client, 2 * count) == [b"/a", b"static"] * count


async def test_a_long_pipeline_of_static_routes_is_answered_to_its_end(http):
    async with talking(Gatekeeper(), http=http, **ROUTES) as client:
        client.writer.write((get("/static") + get("/name/x")) * 1500)
        assert await bodies(client, 3000) == [b"static", b"<x>"] * 1500


async def test_a_static_route_waits_behind_a_pending_exchange(http):
    app = Gatekeeper()
    async with talking(app, http=http, **ROUTES) as client:
        await client.send(get("/wait") + get("/static"), get("/name/x") + get("/2"))
        await within(app.arrived.wait())
        app.gate.set()
        assert await bodies(client, 4) == [b"/wait", b"static", b"<x>", b"/2"]


async def test_a_static_route_before_an_exchange_does_not_wait_for_it(http):
    app = Gatekeeper()
    async with talking(app, http=http, **ROUTES) as client:
        await client.send(get("/static") + get("/wait"))
        assert await bodies(client, 1) == [b"static"]
        await within(app.arrived.wait())
        app.gate.set()
        assert await bodies(client, 1) == [b"/wait"]


async def test_a_head_request_in_a_pipeline_has_no_content_in_between(http):
    async with talking(Gatekeeper(), http=http, **ROUTES) as client:
        one = get("/static", method="HEAD") + get("/a", method="HEAD") + get("/b")
        await client.send(one * 2)
        for _ in range(2):
            assert (await client.response("HEAD")).header(b"content-length") == b"6"
            assert (await client.response("HEAD")).header(b"content-length") == b"2"
            assert await bodies(client, 1) == [b"/b"]


@pytest.mark.parametrize("good", ["/a", "/turns", "/static"])
@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"GET / HTTP/9.9\r\n\r\n"])
async def test_a_good_request_before_a_bad_one_gets_its_answer(http, good, bad):
    app = Gatekeeper()
    body = good.encode() if good != "/static" else b"static"
    async with talking(app, http=http, **ROUTES) as client:
        await client.send(get(good) * 2 + bad + get("/smuggled"))
        assert await bodies(client, 2) == [body, body]
        assert (await client.response()).status in (400, 505)
        assert await client.closed()
    assert "/smuggled" not in app.paths


async def test_a_bad_request_behind_a_pending_one_waits_for_its_turn(http):
    app = Gatekeeper()
    async with talking(app, http=http) as client:
        await client.send(get("/wait"))
        await within(app.arrived.wait())
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        app.gate.set()
        assert await bodies(client, 1) == [b"/wait"]
        assert (await client.response()).status == 400
        assert await client.closed()


@pytest.mark.parametrize("first", ["/a", "/turns", "/static"])
async def test_nothing_is_served_behind_a_request_that_closes(http, first):
    app = Gatekeeper()
    async with talking(app, http=http, **ROUTES) as client:
        await client.send(get(first, "Connection: close") + get("/more") * 3)
        assert (await client.response()).header(b"connection") == b"close"
        assert await client.closed()
    assert "/more" not in app.paths


async def test_nothing_is_served_behind_a_failure(http):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        raise RuntimeError

    async with talking(app, http=http) as client:
        await client.send(get("/1") + get("/2"))
        assert (await client.response()).status == 500
        assert await client.closed()
    assert calls == ["/1"]


async def test_a_client_that_never_waits_fills_its_own_buffer_not_the_servers(http):
    app = Gatekeeper()
    kernel = 16 * 2**20  # more than two loopback sockets buffer
    one = get("/" + "x" * 4000)
    whole = 2 * kernel // len(one) * len(one)
    async with (
        running(app, http=http, lifespan="off") as server,
        await server.connect() as client,
        await server.connect() as other,
    ):
        await client.send(get("/wait"))
        await within(app.arrived.wait())
        transport = client.writer.transport
        transport.write(one * (whole // len(one)))
        for _ in range(150):  # whole exchanges pass: there was time to read it all
            await other.send(get("/other"))
            await other.response()
        assert transport.get_write_buffer_size() > whole - kernel
        client.reset()
        app.gate.set()


async def test_two_connections_do_not_wait_for_each_other(http):
    app = Gatekeeper()
    probe = Probe(app)
    async with (
        running(probe, http=http, lifespan="off") as server,
        await server.connect() as client,
    ):
        await client.send(get("/wait") + get("/2"))
        await within(app.arrived.wait())
        assert (await server.exchange(get("/other"))).body == b"/other"
        app.gate.set()
        assert await bodies(client, 2) == [b"/wait", b"/2"]


async def test_a_read_with_static_and_other_requests_is_answered_whole_every_time(http):
    whole = get("/static") + get("/app") + get("/name/x")
    async with talking(Gatekeeper(), http=http, **ROUTES) as client:
        for _ in range(3):
            await client.send(whole)
            assert await bodies(client, 3) == [b"static", b"/app", b"<x>"]
