"""Slow applications, slow clients and silent ones: memory and time stay bounded."""

from __future__ import annotations

import asyncio
import socket

import pytest

from katana_asgi.errors import ClientDisconnected
from katana_asgi.testing import HttpPeer, WebSocketPeer, running
from tests.applications import get, raised_by
from tests.support import within
from tests.websocket.websocket_frames import CLOSE, PING, PONG, TEXT, closing, masked, plain
from tests.websocket_peer import SocketProbe, accept, binary, disconnected, echo, open_socket, text

MUCH = 8 << 20
"""Bytes that do not fit into the kernel's buffers of a connection with ``small_buffers``."""


async def small_buffers(server) -> HttpPeer:
    """A connection whose kernel buffers on the client's side are small and stay so."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (server.host, server.port))
    return HttpPeer(*await asyncio.open_connection(sock=sock, limit=1024))


async def stalled(connection: HttpPeer, server) -> None:
    """Wait until the client's writes no longer leave: the server does not read."""
    transport = connection.writer.transport
    before = -1
    for _ in range(1000):
        waiting = transport.get_write_buffer_size()
        if waiting and waiting == before:
            return
        before = waiting
        await server.exchange(get())  # the server has had its turn
    raise AssertionError("the server reads on and on")


# -- backpressure, from the client to the application


@pytest.mark.parametrize(
    ("frame", "settings"),
    [
        (binary(bytes(1000)), {}),
        (binary(bytes(1000)), {"ws_max_queue": 0}),
        (text(""), {"ws_max_queue": 0}),
        (binary(bytes(30_000)), {"ws_max_queue": 4}),
    ],
    ids=["default", "no limit in messages", "no limit, empty messages", "four messages"],
)
async def test_an_application_that_does_not_receive_pauses_reading(http, frame, settings):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        await disconnected(receive)

    probe = SocketProbe(app)
    async with (
        running(probe, http=http, lifespan="off", **settings) as server,
        await small_buffers(server) as connection,
    ):
        peer = await WebSocketPeer.over(connection)
        connection.writer.write(frame * (MUCH // 8 // len(frame)))
        await stalled(connection, server)
        # 64 KiB and one read wait for the application, the rest in the kernel's buffers.
        assert connection.writer.transport.get_write_buffer_size() > MUCH // 32
        gate.set()
        await within(connection.writer.drain())
        await peer.leave()


async def test_reading_goes_on_message_by_message(http):
    steps = asyncio.Queue()

    async def app(scope, receive, send):
        await accept(receive, send)
        while (step := await steps.get()) is not None:
            got = [(await receive())["text"] for _ in range(step)]
            await send({"type": "websocket.send", "text": " ".join(got)})

    async with open_socket(app, http=http, ws_max_queue=1) as (_, peer):
        await peer.send(*[text(str(number)) for number in range(6)])
        for step, answer in ((1, "0"), (2, "1 2"), (3, "3 4 5")):
            steps.put_nowait(step)
            assert await peer.text() == answer
        steps.put_nowait(None)
        assert await peer.closing() == (1000, "")


async def test_a_close_frame_is_seen_when_the_application_closes_with_its_queue_full(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        await send({"type": "websocket.close", "code": 4000})
        return await disconnected(receive)

    probe = SocketProbe(app)
    async with open_socket(probe, http=http, ws_max_queue=1) as (server, peer):
        await peer.send(text("1"), text("2"))
        await server.exchange(get())
        await peer.send(text("3"), masked(8, b"\x0f\xa1"))
        gate.set()
        assert await peer.closing() == (4000, "")
        assert await peer.ended()
        assert (await probe.end())["code"] == 4001


async def test_a_breach_behind_a_full_queue_is_answered_and_the_rest_dropped(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        return await receive(), await receive(), await receive()

    probe = SocketProbe(app)
    async with open_socket(probe, http=http, ws_max_queue=1) as (_, peer):
        writer = peer.connection.writer
        writer.write(text("1") + text("2") + masked(TEXT, b"\xff") + bytes(MUCH))
        assert (await peer.closing())[0] == 1007
        await within(writer.drain())
        gate.set()
        one, two, last = await probe.end()
        assert (one["text"], two["text"], last["code"]) == ("1", "2", 1007)


# -- backpressure, from the application to the client


async def test_send_waits_for_a_client_that_does_not_read(http):
    sent = 0
    size = 1 << 16

    async def app(scope, receive, send):
        nonlocal sent
        await accept(receive, send)
        for _ in range(4 * MUCH // size):
            await send({"type": "websocket.send", "bytes": bytes(size)})
            sent += size

    async with (
        running(SocketProbe(app), http=http, lifespan="off") as server,
        await small_buffers(server) as connection,
    ):
        peer = await WebSocketPeer.over(connection)
        before = -1
        while before != sent:
            before = sent
            for _ in range(20):
                await server.exchange(get())
        assert size <= sent < MUCH
        for _ in range(4 * MUCH // size):
            assert len(await peer.binary()) == size
        assert await peer.closing() == (1000, "")


async def test_a_client_that_takes_nothing_is_reset_in_time(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        while True:
            error = await raised_by(send, {"type": "websocket.send", "bytes": bytes(1 << 20)})
            if error is not None:
                return error, await receive()

    probe = SocketProbe(app)
    async with (
        running(probe, http=http, lifespan="off", timeout_write=0.2) as server,
        await small_buffers(server) as connection,
    ):
        await WebSocketPeer.over(connection)
        error, message = await probe.end()
        assert isinstance(error, ClientDisconnected)
        assert message["code"] == 1006


async def test_pongs_for_a_client_that_does_not_read_do_not_pile_up(http):
    """Only the latest ping is answered then (RFC 6455 §5.5.3)."""
    full, seen = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        sending = asyncio.ensure_future(
            raised_by(send, {"type": "websocket.send", "bytes": bytes(MUCH)})
        )
        await asyncio.sleep(0)
        full.set()
        assert await receive() == {"type": "websocket.receive", "text": "all"}
        seen.set()
        await sending
        await disconnected(receive)

    async with (
        running(app, http=http, lifespan="off") as server,
        await small_buffers(server) as connection,
    ):
        peer = await WebSocketPeer.over(connection)
        await within(full.wait())
        pings = [masked(PING, b"%d" % number) for number in range(500)]
        await peer.send(b"".join(pings), text("all"))
        await within(seen.wait())
        assert len(await peer.binary()) == MUCH
        assert await peer.pong() == b"499"
        await peer.leave()


@pytest.mark.parametrize("size", [10, 100_000])
async def test_an_application_that_only_sends_does_not_starve_others(http, size):
    stop = False

    async def app(scope, receive, send):
        await accept(receive, send)
        while not stop:
            await send({"type": "websocket.send", "bytes": bytes(size)})

    async def swallow(peer):
        # Not frame by frame: megabytes of small ones wait in the kernel's buffers.
        end = plain(CLOSE, closing(1000))
        tail = b""
        while not tail.endswith(end):
            data = await within(peer.connection.reader.read(65536))
            assert data, "the connection ended without a close frame"
            tail = tail[-len(end) :] + data

    async with open_socket(SocketProbe(app), http=http) as (server, peer):
        swallowing = asyncio.ensure_future(swallow(peer))
        assert (await server.exchange(get("/other"))).body == b"/other"
        stop = True
        await within(swallowing)


# -- silence


async def test_a_silent_client_is_pinged_and_an_answer_keeps_it(http):
    settings = {"http": http, "ws_ping_interval": 0.1, "ws_ping_timeout": 0.1}
    probe = SocketProbe(echo)
    async with open_socket(probe, **settings) as (_, peer):
        for _ in range(3):
            content = await peer.ping()
            await peer.send(masked(PONG, content))
        await peer.send(text("still here"))
        assert await peer.text() == "still here"
        await peer.leave()


async def test_anything_at_all_answers_a_ping(http):
    settings = {"http": http, "ws_ping_interval": 0.1, "ws_ping_timeout": 0.1}
    async with open_socket(echo, **settings) as (_, peer):
        await peer.ping()
        await peer.send(masked(TEXT, b"a")[:3])
        await peer.ping()
        await peer.send(masked(TEXT, b"a")[3:])
        assert await peer.text() == "a"


async def test_a_client_that_does_not_answer_pings_is_closed(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        message = await receive()
        return message, await raised_by(send, {"type": "websocket.send", "text": "late"})

    settings = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.1, "timeout_ws_close": 0.1}
    probe = SocketProbe(app)
    async with open_socket(probe, http=http, **settings) as (_, peer):
        assert await peer.ping() == b""
        assert await peer.closing() == (1011, "ping timeout")
        message, error = await probe.end()
        reason = "ping timeout"
        assert message == {"type": "websocket.disconnect", "code": 1006, "reason": reason}
        assert isinstance(error, ClientDisconnected)
        assert await peer.ended()


async def test_without_an_interval_there_are_no_pings(http):
    # The other connection's idle close shows that the clock has looked at this one meanwhile.
    settings = {"ws_ping_interval": 0, "ws_ping_timeout": 0.1, "timeout_keep_alive": 0.3}
    async with open_socket(SocketProbe(echo), http=http, **settings) as (server, peer):
        async with await server.connect() as other:
            await other.send(get())
            await other.response()
            assert await other.closed()
        await peer.leave()


async def test_a_client_whose_messages_wait_is_not_blamed_for_its_silence(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        await receive()
        await receive()
        return await receive()

    settings = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.1, "ws_max_queue": 1}
    probe = SocketProbe(app)
    async with open_socket(probe, http=http, **settings) as (_, peer):
        await peer.send(text("1"), text("2"))
        for _ in range(3):  # reading is paused: our pongs are not seen, and not missed
            await peer.ping()
            await peer.send(masked(PONG))
        await peer.send(masked(8, b"\x0f\xa0"))
        gate.set()
        while (frame := await peer.frame()).first == 0x80 | PING:
            pass
        assert frame == (0x88, b"\x0f\xa0")
        assert (await probe.end())["code"] == 4000


async def test_an_idle_websocket_is_closed(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        return await receive()

    settings = {"http": http, "timeout_ws_idle": 0.3, "ws_ping_interval": 0.1}
    probe = SocketProbe(app)
    async with open_socket(probe, **settings) as (_, peer):
        while (frame := await peer.frame()).first == 0x80 | PING:
            await peer.send(masked(PONG))  # alive, but it says nothing
        assert frame == (0x88, b"\x03\xe8idle")
        end = await probe.end()
        assert end == {"type": "websocket.disconnect", "code": 1000, "reason": "idle"}


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_messages_either_way_keep_a_websocket_from_being_idle(http, direction):
    stop = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        if direction == "out":
            while not stop.is_set():
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.02)
        return await disconnected(receive)

    settings = {"http": http, "timeout_ws_idle": 0.2, "timeout_keep_alive": 0.5}
    probe = SocketProbe(app)
    async with open_socket(probe, ws_ping_interval=0, **settings) as (server, peer):
        async with await server.connect() as other:
            await other.send(get())
            await other.response()
            closing = asyncio.ensure_future(other.closed())
            while not closing.done():
                if direction == "in":
                    await peer.send(text("tick"))
                    await asyncio.wait([closing], timeout=0.02)
                else:
                    assert await peer.text() == "tick"
            assert await closing
        stop.set()
        await peer.send(masked(8))
        while (frame := await peer.frame()) == (0x81, b"tick"):
            pass
        assert frame.first == 0x88
        assert (await probe.end())["code"] == 1005
