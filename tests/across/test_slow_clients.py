"""Clients that are slow on purpose: bodies that stop or drip, readers that do not read.

Nothing here measures time: a client is cut off by the server, and what must not be cut off
meanwhile is compared with another client of the same server that is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from katana_asgi.errors import ClientDisconnected
from katana_asgi.http1 import connection as connection_module
from katana_asgi.net import pace
from katana_asgi.testing import running
from tests.applications import Probe, content_of, get, raised_by, respond, start
from tests.raw_client import RawClient
from tests.support import talking, within

MIB = 2**20

POST = get("/", "Content-Length: 1000", method="POST")
CHUNKED = get("/", "Transfer-Encoding: chunked", method="POST")
CHUNK = b"3\r\nabc\r\n"


async def echo(scope, receive, send):
    await respond(send, await content_of(receive))


async def drip(client, until, piece=b"x"):
    """Send a piece now and then until ``until`` is done; returns what that is."""
    until = asyncio.ensure_future(until)
    while not until.done():
        client.writer.write(piece)
        await asyncio.wait((until,), timeout=0.001)
    return await until


async def ended(client):
    """Wait for the server to end the connection, in order or with a reset."""
    with suppress(OSError):
        assert await client.rest() == b""
    return True


# -- bodies


@pytest.mark.parametrize("request_bytes", [POST, POST + b"abc", CHUNKED, CHUNKED + CHUNK + b"5\r"])
async def test_a_body_that_stops_coming_is_408_and_the_application_is_told(http, request_bytes):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await start(send)
        raise await raised_by(send, {"type": "http.response.body"})

    probe = Probe(app)
    async with talking(probe, http=http, timeout_body=0.1, disconnect="raise") as client:
        await client.send(request_bytes)
        assert (await client.response()).status == 408
        assert await client.closed()
        assert isinstance(await probe.end(), ClientDisconnected)


async def test_trailers_that_stop_coming_are_408(http):
    async with talking(echo, http=http, timeout_body=0.1) as client:
        await client.send(CHUNKED + CHUNK + b"0\r\nX-Tra")
        assert (await client.response()).status == 408
        assert await client.closed()


async def test_a_body_that_stops_within_a_begun_response_breaks_it_off(http):
    async def app(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await content_of(receive)

    async with talking(app, http=http, timeout_body=0.1) as client:
        await client.send(CHUNKED + CHUNK)
        await client.head()
        assert await client.rest() == b"5\r\nbegun\r\n"


@pytest.mark.parametrize("head", [POST.replace(b"1000", b"100000000"), CHUNKED + b"5f5e100\r\n"])
async def test_a_body_that_drips_below_the_rate_is_408(http, head, monkeypatch):
    monkeypatch.setattr(pace, "GRACE", 0.1)
    settings = {"timeout_body": 0, "limit_body_rate": 2**40, "timeout_header": 0.1}
    async with talking(echo, http=http, **settings) as client:
        await client.send(head)
        assert (await drip(client, client.response())).status == 408


async def test_a_body_above_the_rate_may_take_longer_than_the_grace(http, monkeypatch):
    monkeypatch.setattr(pace, "GRACE", 0.05)
    settings = {"timeout_body": 0.2, "limit_body_rate": 1}
    async with (
        running(echo, http=http, lifespan="off", **settings) as server,
        await server.connect() as steady,
        await server.connect() as silent,
    ):
        await steady.send(POST + b"x" * 500)
        await silent.send(POST)
        assert (await silent.response()).status == 408
        await steady.send(b"y" * 500)
        assert (await steady.response()).body == b"x" * 500 + b"y" * 500


async def test_without_limits_a_body_may_stop_and_go_on(http):
    settings = {"timeout_body": 0, "limit_body_rate": 0, "timeout_header": 0.1}
    async with (
        running(echo, http=http, lifespan="off", **settings) as server,
        await server.connect() as patient,
        await server.connect() as other,
    ):
        await patient.send(POST)
        await other.send(b"GET / HTTP/1.1\r\n")
        assert (await other.response()).status == 408
        await patient.send(b"x" * 1000)
        assert (await patient.response()).body == b"x" * 1000


async def test_the_time_of_a_slow_application_is_not_the_clients(http, monkeypatch):
    """A client whose body waits in the kernel, since the application does not read it."""
    monkeypatch.setattr(pace, "GRACE", 0.05)
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/big":
            await gate.wait()
        await respond(send, b"%d" % len(await content_of(receive)))

    settings = {"timeout_body": 0.1, "limit_body_rate": 2**30}
    async with (
        running(app, http=http, lifespan="off", **settings) as server,
        await server.connect() as big,
    ):
        big.writer.write(get("/big", f"Content-Length: {8 * MIB}", method="PUT") + bytes(8 * MIB))
        for _ in range(3):
            async with await server.connect() as silent:
                await silent.send(POST)
                assert (await silent.response()).status == 408
        gate.set()
        assert (await big.response()).body == b"%d" % (8 * MIB)


async def test_a_client_that_waits_for_100_continue_is_not_timed(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/waits":
            await gate.wait()
        await respond(send, await content_of(receive))

    expecting = get("/waits", "Content-Length: 2", "Expect: 100-continue", method="PUT")
    async with (
        running(app, http=http, lifespan="off", timeout_body=0.1) as server,
        await server.connect() as client,
        await server.connect() as silent,
    ):
        await client.send(expecting)
        await silent.send(POST)
        assert (await silent.response()).status == 408
        gate.set()
        assert (await client.head()).status == 100
        await client.send(b"ok")
        assert (await client.response()).body == b"ok"


async def test_the_time_of_one_body_does_not_count_for_the_next(http):
    async with talking(echo, http=http, timeout_body=0.2) as client:
        for _ in range(3):
            await client.send(POST + b"x" * 999)
            other = await asyncio.open_connection(*client.writer.get_extra_info("peername"))
            other[1].write(b"\r\n")  # a while passes: this one is closed for its silence
            await client.send(b"x")
            assert (await client.response()).status == 200
            other[1].close()


# -- content that nobody reads


async def test_unread_content_has_its_own_time(http):
    async def app(scope, receive, send):
        await respond(send, b"early")

    async with talking(app, http=http, timeout_header=0.1) as client:
        await client.send(POST)
        assert (await client.response()).body == b"early"
        assert await client.closed()


async def test_unread_content_that_drips_has_no_more_time(http):
    async def app(scope, receive, send):
        await respond(send, b"early")

    async with talking(app, http=http, timeout_header=0.1) as client:
        await client.send(POST)
        assert (await client.response()).body == b"early"
        assert await drip(client, ended(client))


async def test_unread_content_that_comes_too_late_does_not_take_the_answer_with_it(http):
    """The client sends slowly and reads slowly; its answer is still on its way."""
    size = 8 * MIB

    async def app(scope, receive, send):
        await respond(send, bytes(size))

    async with (
        running(app, http=http, lifespan="off", timeout_header=0.1) as server,
        await RawClient.open(server.host, server.port) as client,
    ):
        ticks = asyncio.Semaphore(0)
        await client.send(POST)
        while not server.server.requests:
            await asyncio.sleep(0)
        server.server.every_tick(ticks.release)
        for _ in range(20):
            await within(ticks.acquire())
        await client.send(b"x" * 500)
        assert await client.read_to_end() > size


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_refused_client_that_stays_is_let_go(http, goes_on, monkeypatch):
    monkeypatch.setattr(connection_module, "LINGER", 0.1)
    async with talking(echo, http=http, timeout_header=0.5) as client:
        await client.send(b"GET / HTTP/9.9\r\n\r\n")
        assert (await client.response()).status == 505
        if goes_on:
            assert await drip(client, ended(client))
        else:
            assert await client.closed()


# -- readers that do not read


class Flood:
    """Streams without end; says when it is made to wait."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        await start(send)
        message = {"type": "http.response.body", "body": bytes(64 * 1024), "more_body": True}
        while True:
            sending = asyncio.ensure_future(send(message))
            await asyncio.sleep(0)
            if not sending.done():
                self.waits.set()
            await sending


async def test_a_reader_that_stops_is_reset_and_the_application_told(http):
    flood = Flood()
    probe = Probe(flood)
    async with running(
        probe, http=http, disconnect="raise", lifespan="off", timeout_write=0.1
    ) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(get())
            assert isinstance(await probe.end(), ClientDisconnected)
            assert await client.was_reset()


async def test_a_reader_that_takes_a_byte_at_a_time_is_reset(http):
    probe = Probe(Flood())
    async with running(
        probe, http=http, disconnect="raise", lifespan="off", timeout_write=0.1
    ) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(get())
            end = asyncio.ensure_future(probe.end())
            while not end.done():
                await client.read(1)
                await asyncio.wait((end,), timeout=0.001)
            assert isinstance(await end, ClientDisconnected)


@pytest.mark.parametrize("lines", [(), ("Connection: close",)])
async def test_a_whole_response_that_nobody_takes_does_not_stay(http, lines):
    async def app(scope, receive, send):
        await respond(send, bytes(16 * MIB))

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_write=0.1) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(get("/", *lines))
            await probe.end()
            while server.server.connections:
                await asyncio.sleep(0.001)
            assert await client.was_reset()


async def test_a_static_response_that_nobody_takes_does_not_stay(http):
    from katana_asgi import StaticRoute

    route = StaticRoute(path="/big", body="x" * 8 * MIB)
    settings = {"static_route": (route,), "timeout_write": 0.1}
    async with running(echo, http=http, lifespan="off", **settings) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(get("/big", "Connection: close"))
            while not server.server.connections:
                await asyncio.sleep(0)
            while server.server.connections:
                await asyncio.sleep(0.001)
            assert await client.was_reset()


async def test_a_slow_reader_that_reads_is_served_to_the_end(http):
    """It reads a little again and again, while another one that does not is reset."""

    async def app(scope, receive, send):
        if scope["path"] == "/flood":
            await Flood()(scope, receive, send)
        await respond(send, bytes(32 * MIB))

    probe = Probe(app)
    async with (
        running(probe, http=http, disconnect="raise", lifespan="off", timeout_write=0.3) as server,
        await RawClient.open(server.host, server.port, receive_buffer=2**18) as slow,
        await RawClient.open(server.host, server.port) as stopped,
    ):
        await slow.send(get("/", "Connection: close"))
        await stopped.send(get("/flood"))
        end = asyncio.ensure_future(probe.end())
        received = 0
        while not end.done():
            received += len(await slow.read(2**17))
            await asyncio.wait((end,), timeout=0.02)
        assert isinstance(await end, ClientDisconnected)
        assert await slow.read_to_end() + received > 32 * MIB


async def test_without_a_write_timeout_a_reader_may_take_its_time(http):
    async def app(scope, receive, send):
        await respond(send, bytes(8 * MIB))

    settings = {"timeout_write": 0, "timeout_header": 0.1}
    async with (
        running(app, http=http, lifespan="off", **settings) as server,
        await RawClient.open(server.host, server.port) as patient,
        await server.connect() as other,
    ):
        await patient.send(get("/", "Connection: close"))
        await other.send(b"GET / HTTP/1.1\r\n")
        assert (await other.response()).status == 408
        assert await patient.read_to_end() > 8 * MIB


async def test_after_a_stall_that_ends_in_time_the_connection_serves_on(http):
    async def app(scope, receive, send):
        await respond(send, bytes(4 * MIB))

    async with running(app, http=http, lifespan="off", timeout_write=5) as server:
        async with await server.connect() as client:
            for _ in range(2):
                client.writer.transport.pause_reading()
                await client.send(get())
                while not server.server.requests:
                    await asyncio.sleep(0)
                client.writer.transport.resume_reading()
                assert len((await within(client.response())).body) == 4 * MIB


async def test_a_request_behind_an_answer_that_is_read_slowly_is_answered(http):
    """Time to keep a connection that asks for nothing does not run while it waits to be asked."""

    async def app(scope, receive, send):
        await respond(send, bytes(16 * MIB) if scope["path"] == "/big" else b"small")

    async with (
        running(app, http=http, lifespan="off", timeout_keep_alive=0.1) as server,
        await RawClient.open(server.host, server.port) as client,
    ):
        ticks = asyncio.Semaphore(0)
        await client.send(get("/big") + get("/small", "Connection: close"))
        assert await client.read(100)
        server.server.every_tick(ticks.release)
        for _ in range(20):
            await within(ticks.acquire())
        received = b""
        while data := await client.read(2**20):
            received = (received + data)[-1000:]
        assert received.endswith(b"\r\n\r\nsmall")
