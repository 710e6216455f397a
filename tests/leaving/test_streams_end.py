"""Streams whose client leaves, and half-closed clients that do not (RFC 9112 §9.6)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from katana_asgi.testing import HttpPeer, running
from tests.applications import Probe, get, start
from tests.support import TIMEOUT, within

SOON = 0.3 * TIMEOUT
"""Seconds for what takes a fraction of one on a machine that is not busy."""

QUICK = {"lifespan": "off", "timeout_disconnect": 0.2}


def piece(body=b"piece", more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}


async def silent(_scope, _receive, send):
    """Send a piece and wait for ever, without listening."""
    await start(send)
    await send(piece())
    await asyncio.Event().wait()


async def sends_on(_scope, _receive, send):
    await start(send)
    while True:
        await send(piece())
        await asyncio.sleep(0.01)


async def known_length(_scope, _receive, send):
    await start(send, headers=[(b"content-length", b"1000")])
    await send(piece())
    await asyncio.Event().wait()


def leave(client, how):
    if how == "RST":
        client.reset()
    else:
        client.writer.close()


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("app", [silent, sends_on])
async def test_a_stream_that_does_not_listen_is_cancelled(app, how):
    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        leave(client, how)
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)
        assert server.server.connections == 0


async def test_a_stream_of_known_length_ends_with_the_write_timeout():
    """There is no byte in it that could be sent to find out."""
    probe = Probe(known_length)
    async with running(probe, timeout_write=0.3, **QUICK) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.writer.close()
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


async def test_a_slow_stream_of_known_length_is_no_silent_one():
    """What is sent from time to time keeps a half-closed client's stream."""

    async def slow(_scope, _receive, send):
        await start(send, headers=[(b"content-length", b"20")])
        for number in range(4):
            await asyncio.sleep(0.2)
            await send(piece(more=number < 3))

    async with running(slow, timeout_write=0.5, **QUICK) as server:
        async with await server.connect() as client:
            await client.send(get())
            client.half_close()
            assert (await client.response()).body == b"piece" * 4


async def test_a_stream_behind_another_request_of_a_client_that_has_gone_ends():
    """The FIN came while the first of two requests was answered."""
    release = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await release.wait()
            await start(send)
            await send(piece(more=False))
        else:
            await silent(scope, receive, send)

    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        await client.send(get("/first") + get("/second"))
        client.writer.close()
        await asyncio.sleep(0.1)
        release.set()
        assert await within(probe.end(), SOON) is None
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_stream_whose_upload_is_not_read_ends(how):
    """Nothing of the client is read any more, so its end does not show by itself."""
    announced = 1_000_000
    probe = Probe(silent)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        head = get("/", f"Content-Length: {announced}", method="POST")
        await client.send(head + bytes(100_000))
        await client.head()
        leave(client, how)
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


async def test_a_stream_that_begins_when_the_client_has_gone_is_cancelled():
    gone = asyncio.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()
        await sends_on(scope, receive, send)

    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        await within(gone.wait(), SOON)
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


async def test_a_generator_whose_client_left_before_its_first_piece_is_entered_and_left():
    """What is sent to a client that has gone is dropped, so cleaning up is done as ever."""
    entered, slots = [], []

    async def app(_scope, receive, send):
        slots.append("slot")
        await asyncio.sleep(0.1)
        await start(send)
        entered.append("entered")
        try:
            await send(piece())
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            slots.pop()

    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        for _ in range(10):
            client = await server.connect()
            await client.send(get())
            client.reset()
        for _ in range(10):
            assert await probe.end() is None
    assert (len(entered), slots) == (10, [])


async def test_connections_of_leavers_are_given_back():
    """Ten streams whose clients leave in the ordinary way, with ten connections at most."""
    probe = Probe(silent)
    async with running(probe, limit_connections=10, **QUICK) as server:
        for _ in range(2):
            clients = [await server.connect() for _ in range(10)]
            for client in clients:
                await client.send(get())
                await client.head()
            for client in clients:
                client.writer.close()
            for _ in clients:
                await within(probe.end(), SOON)
        async with await server.connect() as client:
            await client.send(get())
            assert (await client.head()).status == 200


async def silent_from_the_start(_scope, _receive, send):
    """Begin a response and wait for ever, without listening and without any content."""
    await asyncio.sleep(0)
    await start(send)
    await asyncio.Event().wait()


async def silent_at_once(_scope, _receive, send):
    """The same, without a pause before it."""
    await start(send)
    await asyncio.Event().wait()


@pytest.mark.parametrize("app", [silent_from_the_start, silent_at_once])
async def test_a_head_does_not_wait_for_content_that_does_not_come(app):
    """A client of server-sent events wants to know that its stream is open."""
    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        await client.send(get())
        assert (await within(client.head(), SOON)).header(b"transfer-encoding") == b"chunked"
        client.writer.close()
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("app", [silent_from_the_start, silent_at_once])
async def test_a_client_that_leaves_before_the_head_went_leaves_nothing_behind(app, how):
    probe = Probe(app)
    async with running(probe, **QUICK) as server:
        client = await server.connect()
        await client.send(get())
        leave(client, how)
        assert isinstance(await within(probe.end(), SOON), asyncio.CancelledError)


@pytest.mark.parametrize("length", [[], [(b"content-length", b"4")]])
async def test_content_that_follows_a_head_which_went_alone_is_framed_as_ever(length):
    async def app(_scope, _receive, send):
        await start(send, headers=length)
        await asyncio.sleep(0.15)
        await send(piece(b"late", more=False))

    async with running(app, lifespan="off") as server:
        async with await server.connect() as client:
            for method in ("GET", "HEAD", "GET"):
                await client.send(get(method=method))
                assert (await client.response(method)).body == (b"late" * (method == "GET"))


async def test_a_file_may_follow_a_head_which_went_alone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"of a file")

    async def app(_scope, _receive, send):
        await start(send)
        await asyncio.sleep(0.15)
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with running(app, lifespan="off") as server:
        assert (await server.exchange(get())).body == b"of a file"


# -- half-closed clients


async def test_no_probe_comes_between_the_size_and_the_content_of_a_chunk(tmp_path):
    """A part of a file is one chunk, and a client that does not read it makes a silence."""
    content = bytes(range(1, 256)) * 40_000
    path = tmp_path / "file"
    path.write_bytes(content)

    async def app(_scope, _receive, send):
        await start(send)
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file, "more_body": True})
        await send(piece(b"", more=False))

    async with running(app, lifespan="off") as server:
        async with await server.connect() as client:
            client.writer.transport.pause_reading()
            await client.send(get())
            client.half_close()
            await asyncio.sleep(1.0)
            client.writer.transport.resume_reading()
            assert (await client.response()).body == content


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_half_closed_client_gets_an_answer_that_takes_its_time(version):
    async def app(_scope, _receive, send):
        await asyncio.sleep(0.6)
        await start(send)
        await send(piece(more=False))

    async with running(app, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(get(version=version))
            client.half_close()
            assert (await client.response()).body == b"piece"
            assert await client.closed()


async def test_probes_are_leading_zeros_of_a_chunk_and_few():
    """Whatever follows: at most eight, so that no parser's limit of digits is met."""
    sends = 8

    async def app(_scope, _receive, send):
        await start(send)
        await send(piece())
        await asyncio.sleep(1.5)
        for _ in range(sends):
            await send(piece())
        await send(piece(b"", more=False))

    async with running(app, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(get())
            client.half_close()
            await client.head()
            raw = await client.rest()
    assert raw.startswith(b"5\r\npiece\r\n0")
    assert 1 <= len(raw[10:]) - len(raw[10:].lstrip(b"0")) <= 8
    assert raw[10:].lstrip(b"0") == b"5\r\npiece\r\n" * sends + b"0\r\n\r\n"


# -- content that is read and dropped


async def test_content_behind_a_broken_chunk_is_dropped_and_not_kept():
    """Whatever its amount; memory and time have bounds."""

    async def app(_scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async with running(app, lifespan="off") as server:
        client = await server.connect()
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n")
        assert (await client.response()).status == 400
        (connection,) = server.server.context.clock.watched
        for _ in range(50):
            await client.send(bytes(100_000))
        assert connection.reading.held == 0
        client.writer.close()
        with suppress(OSError):
            await within(client.writer.wait_closed())


async def test_a_handler_that_asks_again_after_the_disconnect_starves_no_other():
    """It loops over ``receive()`` for ever, as some applications do by mistake."""
    loops = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        elif scope["path"] != "/loop":
            await start(send)
            await send(piece(more=False))
            return
        while True:
            if (await receive())["type"].endswith("disconnect"):
                loops.set()

    handshake = get(
        "/loop",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for request in (get("/loop"), handshake):
        loops.clear()
        async with running(app, lifespan="off", timeout_graceful_shutdown=0.1) as server:
            client = await server.connect()
            await client.send(request)
            if request is handshake:
                await client.head()
            client.reset()
            await within(loops.wait())
            async with await HttpPeer.open(server.host, server.port) as other:
                for _ in range(10):
                    await other.send(get())
                    assert (await within(other.response(), TIMEOUT)).status == 200
