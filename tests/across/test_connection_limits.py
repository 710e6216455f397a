"""How many connections, and requests on one: what is over the limit is told so, and goes.

Clients come from 127.0.0.1, a trusted proxy by default: where they are to count as clients,
the tests trust nobody.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.applications import content_of, get, respond
from tests.raw_client import RawClient
from tests.support import talking, within

COUNTED = {"forwarded_allow_ips": (), "lifespan": "off"}

UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)

STATIC = StaticRoute(path="/static", body="cached")

PIECE = StaticRoute(path="/piece", body="x" * 16 * 1024)
"""Of several, one that does not leave the server fills less than its high water."""


class Gate:
    """Answers ``/wait`` when it is opened, everything else at once; accepts WebSockets."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, scope, receive, send) -> None:
        self.calls.put_nowait(scope["path"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        if scope["path"] == "/wait":
            await self.gate.wait()
        await respond(send, b"served")


async def served(client, target="/") -> bool:
    """Whether the connection is open and answers."""
    await client.send(get(target))
    return (await client.response()).status == 200


async def turned_away(client) -> None:
    """The connection gets one answer, without having asked, and ends."""
    refused = await client.response()
    assert refused.status == 503
    assert refused.header(b"retry-after") == b"1"
    assert refused.header(b"connection") == b"close"
    assert await client.closed()


async def all_gone(server, left=0) -> None:
    """Wait until no more than ``left`` connections are open."""
    while server.server.connections > left:
        await asyncio.sleep(0)


# -- in all


async def test_with_all_connections_busy_a_new_one_gets_503_and_goes(http):
    app = Gate()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=2, **COUNTED)
        )
        busy = [await stack.enter_async_context(await server.connect()) for _ in range(2)]
        for client in busy:
            await client.send(get("/wait"))
            await within(app.calls.get())
        await turned_away(await stack.enter_async_context(await server.connect()))
        app.gate.set()
        for client in busy:
            assert (await client.response()).body == b"served"
        newcomer = await stack.enter_async_context(await server.connect())
        assert await served(newcomer)


async def test_with_all_connections_busy_every_newcomer_of_many_gets_503(http):
    """Those that were told before stay for a while; they must not use up the room for the next."""
    app = Gate()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=1, **COUNTED)
        )
        busy = await stack.enter_async_context(await server.connect())
        await busy.send(get("/wait"))
        await within(app.calls.get())
        newcomers = [await stack.enter_async_context(await server.connect()) for _ in range(60)]
        for newcomer in newcomers:
            await turned_away(newcomer)
        app.gate.set()
        assert (await busy.response()).body == b"served"


async def test_the_connection_that_is_idle_longest_makes_room(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections=3, **COUNTED)
        )
        clients = [await stack.enter_async_context(await server.connect()) for _ in range(3)]
        for client in clients:
            assert await served(client)
        await asyncio.sleep(0)
        newcomer = await stack.enter_async_context(await server.connect())
        assert await served(newcomer)
        ends = [asyncio.ensure_future(client.closed()) for client in clients]
        done, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        for end in pending:
            end.cancel()


async def test_a_connection_whose_only_read_was_known_is_idle_since_then(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections=2, static_route=(STATIC,), **COUNTED)
        )
        for _ in range(5):
            assert (await server.exchange(get("/static"))).status == 200
        await all_gone(server)
        first = await stack.enter_async_context(await server.connect())
        await first.send(get("/static"))
        await first.response()
        tick = asyncio.Event()
        server.server.every_tick(tick.set)
        await within(tick.wait())
        silent = await stack.enter_async_context(await server.connect())
        newcomer = await stack.enter_async_context(await server.connect())
        assert await served(newcomer)
        assert await first.closed()
        assert await served(silent)


async def test_a_connection_that_has_asked_for_nothing_makes_room_too(http):
    app = Gate()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=2, **COUNTED)
        )
        silent = await stack.enter_async_context(await server.connect())
        busy = await stack.enter_async_context(await server.connect())
        await busy.send(get("/wait"))
        await within(app.calls.get())
        newcomer = await stack.enter_async_context(await server.connect())
        assert await served(newcomer)
        assert await silent.closed()
        app.gate.set()
        assert (await busy.response()).body == b"served"


async def lingering(server, count: int) -> None:
    """Wait until so many connections have been answered and only wait for their clients."""
    watched = server.server.context.clock.watched
    while sum(each.answered_since is not None for each in watched) < count:
        await asyncio.sleep(0)


async def test_answered_clients_that_do_not_close_make_room_and_keep_their_answers(http):
    app = Gate()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=3, **COUNTED)
        )
        busy = [await stack.enter_async_context(await server.connect())]
        await busy[0].send(get("/wait"))
        await within(app.calls.get())
        refused = [await stack.enter_async_context(await server.connect()) for _ in range(2)]
        for count, client in enumerate(refused, 1):
            await client.send(b"GET / HTTP/9.9\r\n\r\n")
            await lingering(server, count)
        for _ in range(2):
            busy.append(await stack.enter_async_context(await server.connect()))
            await busy[-1].send(get("/wait"))
            await within(app.calls.get())
        await all_gone(server, left=3)
        for client in refused:
            assert (await client.response()).status == 505
            assert await client.closed()
        app.gate.set()
        for client in busy:
            assert (await client.response()).body == b"served"


async def test_a_client_that_has_not_got_all_of_its_answer_makes_no_room(http):
    size = 8 * 2**20

    async def app(scope, receive, send):
        await respond(send, bytes(size))

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=1, **COUNTED)
        )
        slow = await stack.enter_async_context(await RawClient.open(server.host, server.port))
        await slow.send(get("/", "Connection: close") + get("/behind"))
        while server.server.requests < 1:
            await asyncio.sleep(0)
        await turned_away(await stack.enter_async_context(await server.connect()))
        assert await slow.read_to_end() > size


async def keeps_bytes(connection) -> bool:
    """Whether the kernel does not take what is to be sent, in this turn or the next ones."""
    for _ in range(5):
        if not connection.transport.get_write_buffer_size():
            return False
        await asyncio.sleep(0)
    return True


async def test_a_client_that_is_still_taking_its_answer_is_not_idle(http):
    """Closed, it would stay until it has taken all, and those that make room would add up."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections=1, static_route=(PIECE,), **COUNTED)
        )
        slow = await stack.enter_async_context(await RawClient.open(server.host, server.port))
        while not server.server.connections:
            await asyncio.sleep(0)
        (connection,) = server.server.context.clock.watched
        count = 0
        while not await keeps_bytes(connection):
            await slow.send(get("/piece"))
            count += 1
            while server.server.requests < count:
                await asyncio.sleep(0)
        assert not connection.writing.write_paused
        await turned_away(await stack.enter_async_context(await server.connect()))


async def test_many_newcomers_at_once_are_served_or_told(http):
    app = Gate()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(app, http=http, limit_connections=20, **COUNTED)
        )
        statuses = []

        async def come() -> None:
            client = await stack.enter_async_context(await server.connect())
            try:
                await client.send(get("/wait"))
                statuses.append((await client.response()).status)
            except (ConnectionError, asyncio.IncompleteReadError):
                statuses.append(0)

        coming = [asyncio.ensure_future(come()) for _ in range(60)]
        for _ in range(20):
            await within(app.calls.get())
        app.gate.set()
        await within(asyncio.wait(coming))
        assert len(statuses) == 60
        assert statuses.count(200) >= 20
        assert set(statuses) <= {200, 503, 0}  # with very many at once some are dropped unheard
        await stack.aclose()


async def test_a_websocket_is_not_idle(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections=1, **COUNTED)
        )
        client = await stack.enter_async_context(await server.connect())
        await client.send(get("/", *UPGRADE))
        assert (await client.head()).status == 101
        await turned_away(await stack.enter_async_context(await server.connect()))


async def test_without_a_setting_the_limit_follows_from_the_descriptors(http):
    async with talking(Gate(), http=http) as client:
        assert await served(client)


# -- for one client


async def test_a_client_with_too_many_connections_gets_503_until_one_is_closed(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections_per_client=2, **COUNTED)
        )
        first = await stack.enter_async_context(await server.connect())
        second = await stack.enter_async_context(await server.connect())
        assert await served(first)
        assert await served(second)
        third = await server.connect()
        await turned_away(third)
        third.writer.close()
        first.writer.close()
        await all_gone(server, left=1)
        fourth = await stack.enter_async_context(await server.connect())
        assert await served(fourth)
        assert await served(second)


async def test_a_websocket_counts_for_its_client_until_it_ends(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections_per_client=1, **COUNTED)
        )
        client = await server.connect()
        await client.send(get("/", *UPGRADE))
        assert (await client.head()).status == 101
        other = await server.connect()
        await turned_away(other)
        other.writer.close()
        client.reset()
        await all_gone(server)
        newcomer = await stack.enter_async_context(await server.connect())
        assert await served(newcomer)


async def test_far_too_many_connections_of_one_client_are_not_even_told(http):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(Gate(), http=http, limit_connections_per_client=1, **COUNTED)
        )
        clients = [await stack.enter_async_context(await server.connect()) for _ in range(3)]
        assert await served(clients[0])
        await turned_away(clients[1])
        assert await clients[2].closed()


async def test_a_trusted_proxy_may_have_any_number(http):
    settings = {"limit_connections_per_client": 1, "lifespan": "off"}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(Gate(), http=http, **settings))
        for _ in range(5):
            client = await stack.enter_async_context(await server.connect())
            assert await served(client)


async def test_over_a_unix_socket_nobody_has_an_address_to_count(http, tmp_path):
    from katana_asgi.testing import HttpPeer

    path = str(tmp_path / "s")
    settings = {"limit_connections_per_client": 1, "uds": path, **COUNTED}
    async with running(Gate(), http=http, **settings):
        for _ in range(3):
            client = await HttpPeer.open_unix(path)
            assert await served(client)
            client.writer.close()


# -- requests on one connection


@pytest.mark.parametrize("target", ["/", "/static", "/static?query"])
async def test_the_last_request_of_a_connection_is_told_so(http, target):
    settings = {"limit_keep_alive_requests": 3, "static_route": (STATIC,)}
    async with talking(Gate(), http=http, **settings) as client:
        for left in (2, 1, 0):
            await client.send(get(target))
            response = await client.response()
            assert response.status == 200
            assert response.header(b"connection") == (None if left else b"close")
        assert await client.closed()


async def test_the_last_request_may_have_content(http):
    async def app(scope, receive, send):
        await respond(send, await content_of(receive))

    async with talking(app, http=http, limit_keep_alive_requests=2) as client:
        for last in (False, True):
            await client.send(get("/", "Content-Length: 2", method="POST") + b"ab")
            response = await client.response()
            assert response.body == b"ab"
            assert (response.header(b"connection") == b"close") is last
        assert await client.closed()


@pytest.mark.parametrize("target", ["/", "/static"])
async def test_requests_behind_the_last_one_are_not_answered(http, target):
    app = Gate()
    settings = {"limit_keep_alive_requests": 2, "static_route": (STATIC,)}
    async with talking(app, http=http, **settings) as client:
        await client.send(get(target) * 5)
        assert (await client.response()).header(b"connection") is None
        assert (await client.response()).header(b"connection") == b"close"
        assert await client.closed()
    assert app.calls.qsize() == (2 if target == "/" else 0)


# -- requests at once


async def test_static_routes_answer_while_the_application_takes_no_more(http):
    app = Gate()
    settings = {"limit_concurrency": 1, "static_route": (STATIC,), "lifespan": "off"}
    async with (
        running(app, http=http, **settings) as server,
        await server.connect() as busy,
    ):
        await busy.send(get("/wait"))
        await within(app.calls.get())
        for _ in range(3):
            assert (await server.exchange(get("/static"))).body == b"cached"
        refused = await server.exchange(get("/"))
        assert (refused.status, refused.header(b"retry-after")) == (503, b"1")
        app.gate.set()
        assert (await busy.response()).body == b"served"
