"""What the server holds for a client past the kernel: little, in both directions.

What a connection holds is asked of the transport and of the exchange themselves; a client
cannot see it.
"""

from __future__ import annotations

import asyncio
import socket
import tracemalloc

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import MemoryServer, running, turns
from tests.applications import Probe, get, respond, start
from tests.inside import connection_of, context_of, unread, unsent
from tests.raw_client import RawClient
from tests.support import within

KIB = 1024
MIB = 1024 * KIB

HIGH_WATER = 64 * KIB
"""Where both directions pause."""

READ = 256 * KIB
"""The most that one read of an event loop takes; no more than one comes on top."""


async def settled(measure) -> int:
    """What ``measure`` gives once it has not changed for many turns of the loop."""
    last, same = -1, 0
    while same < 50:
        now = measure()
        same = same + 1 if now == last else 0
        last = now
        await asyncio.sleep(0.001)
    return last


@pytest.mark.parametrize("size", [1000, 16 * KIB, 64 * KIB])
async def test_a_stream_to_a_client_that_does_not_read_waits(http, size):
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await start(send)
        while sent < 64 * MIB:
            await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
            sent += size
            if not sent % (16 * KIB):
                await asyncio.sleep(0)

    async with running(app, http=http, lifespan="off") as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(get())
            await within(settled(lambda: sent))
            # With its framing, and what comes together in one turn.
            assert unsent(server) <= 2 * HIGH_WATER
            assert sent < 16 * MIB


@pytest.mark.parametrize("framing", ["counted", "chunked", "tiny chunks"])
async def test_an_upload_that_is_not_consumed_waits(http, framing):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await respond(send)

    if framing == "counted":
        head, piece = get("/", "Content-Length: 100000000", method="PUT"), bytes(MIB)
    else:
        head = get("/", "Transfer-Encoding: chunked", method="PUT")
        piece = b"1\r\na\r\n" * (MIB // 6)
        if framing == "chunked":
            piece = b"10000\r\n" + bytes(64 * KIB) + b"\r\n"
    async with running(app, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            client.writer.write(head)
            for _ in range(8 * MIB // len(piece)):
                client.writer.write(piece)
            transport = client.writer.transport
            await within(settled(transport.get_write_buffer_size))
            assert 0 < unread(server) <= HIGH_WATER + READ
            gate.set()
            client.reset()


@pytest.mark.parametrize(
    ("field", "piece", "size"),
    [
        ("Content-Length: 20000", b"ab", 2),
        ("Transfer-Encoding: chunked", b"2\r\nab\r\n", 7),
        ("Transfer-Encoding: chunked", b"2\r\nab\r\n", 70_000),
    ],
    ids=["tiny reads", "a tiny chunk a read", "tiny chunks"],
)
async def test_content_that_comes_in_tiny_reads_is_held_in_few_pieces(http, field, piece, size):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await respond(send, b"%d" % len((await receive())["body"]))

    async with MemoryServer(app, http=http, lifespan="off") as server:
        transport = server.connect()
        transport.feed(get("/", field, method="PUT"))
        await turns(3)
        tracemalloc.start()
        transport.feed(piece * 10_000, size)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert taken < 100_000  # by themselves they would take more than 400,000
        transport.feed(b"0\r\n\r\n" if "chunked" in field else b"")
        gate.set()
        assert (await transport.settled()).endswith(b"20000")


async def test_pipelined_requests_behind_a_pending_one_wait_in_the_kernel(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await respond(send)

    async with running(app, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            client.writer.write(get() * (8 * MIB // len(get())))
            await within(settled(client.writer.transport.get_write_buffer_size))
            assert 0 < unread(server) <= HIGH_WATER + READ
            client.reset()
            gate.set()


# -- responses that nobody reads, to requests that go on coming

BODY = 256 * KIB

KERNEL = 16 * MIB
"""More than two loopback sockets buffer."""

BIG = StaticRoute(path="/big", body="x" * BODY)


async def test_static_responses_wait_for_the_client_to_read(http):
    whole = 2 * KERNEL // BODY
    async with running(respond, http=http, lifespan="off", static_route=(BIG,)) as server:
        async with await RawClient.open(server.host, server.port, 2 * READ) as client:
            await client.send(get("/big") * whole)
            await within(settled(lambda: unsent(server) if server.server.connections else -1))
            assert unsent(server) <= HIGH_WATER + BODY + KIB  # one response more
            assert server.server.requests < whole
            received = 0
            while received < whole * BODY:
                received += len(await client.read(MIB))
            assert server.server.requests == whole


async def test_responses_of_the_application_wait_for_the_client_to_read(http):
    calls = 0
    whole = 2 * KERNEL // BODY

    async def app(scope, receive, send):
        nonlocal calls
        calls += 1
        await respond(send, bytes(BODY))

    async with running(app, http=http, lifespan="off") as server:
        async with await RawClient.open(server.host, server.port, 2 * READ) as client:
            await client.send(get() * whole)
            await within(settled(lambda: calls))
            assert unsent(server) <= HIGH_WATER + 2 * BODY + KIB
            assert calls < whole
            received = 0
            while received < whole * BODY:
                received += len(await client.read(MIB))
            assert calls == whole


async def test_requests_one_by_one_do_not_pile_up_responses(http):
    """A client that asks again and again, each request in a read of its own, and never reads."""
    async with running(respond, http=http, lifespan="off", static_route=(BIG,)) as server:
        async with await RawClient.open(server.host, server.port) as client:
            for _ in range(2 * KERNEL // BODY):
                await client.send(get("/big"))
                await asyncio.sleep(0)
            await within(settled(lambda: unsent(server) if server.server.connections else -1))
            assert unsent(server) <= HIGH_WATER + BODY + KIB


async def test_many_pipelined_static_routes_are_all_answered(http):
    small = StaticRoute(path="/small", body="y" * 500)
    async with running(respond, http=http, lifespan="off", static_route=(small,)) as server:
        async with await server.connect() as client:
            for _ in range(3):  # from the second time on the connection may remember the read
                await client.send(get("/small") * 1000)
                for _ in range(1000):
                    assert (await client.response()).body == b"y" * 500


# -- nothing is left behind


async def test_memory_does_not_grow_with_the_number_of_requests(http):
    async def app(scope, receive, send):
        await respond(send, scope["path"].encode())

    async def ask(client, count, start_at):
        for number in range(start_at, start_at + count):
            await client.send(get(f"/{number}", f"X-Number: {number}"))
            assert (await client.response()).status == 200

    probe = Probe(app)
    async with running(app, http=http, lifespan="off") as server, await server.connect() as client:
        await ask(client, 500, 0)
        tracemalloc.start()
        await ask(client, 200, 10_000)
        before = tracemalloc.get_traced_memory()[0]
        await ask(client, 600, 20_000)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert after - before < 600 * 300  # less than a head and its response
    assert not probe.scopes


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="not on this system")
async def test_the_kernel_takes_little_for_a_client_that_does_not_read(http):
    """TCP_NOTSENT_LOWAT: what the client has no room for stays out of the kernel's memory."""

    async def app(scope, receive, send):
        await respond(send, bytes(8 * MIB))

    async with running(app, http=http) as server:
        client = await RawClient.open(server.host, server.port)
        await client.send(get())
        await within(waits(server))
        option = socket.TCP_NOTSENT_LOWAT
        sock = connection_of(server).transport.get_extra_info("socket")
        assert 0 < sock.getsockopt(socket.IPPROTO_TCP, option) <= 128 * KIB
        client.reset()


async def waits(server) -> None:
    while not context_of(server).clock.watched or not unsent(server):
        await asyncio.sleep(0)
