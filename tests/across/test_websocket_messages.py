"""Messages both ways: what the application receives, what it may send (obligations 31 and 32)."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib

import pytest

from katana_asgi.errors import LocalProtocolError
from katana_asgi.testing import opening
from tests.applications import get, raised_by
from tests.support import within
from tests.websocket.websocket_frames import (
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    fragments,
    masked,
    plain,
)
from tests.websocket_peer import (
    SocketProbe,
    accept,
    binary,
    bye,
    disconnected,
    echo,
    open_socket,
    text,
)

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


async def collect(scope, receive, send) -> list:
    """Accept and return everything received."""
    await accept(receive, send)
    messages = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] == "websocket.disconnect":
            return messages


def compressed(content: bytes, *, opcode: int = TEXT, level: int = 9) -> bytes:
    """A message that needs no earlier one to be inflated, as a client sends it."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -12)
    data = compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return masked(opcode, data.removesuffix(b"\x00\x00\xff\xff"), rsv=4)


# -- line 31


async def test_only_the_key_that_has_a_value_is_received(http):
    probe = SocketProbe(collect)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(text("") + binary(b"") + text("é"), binary(b"\x00\xff"))
        await peer.leave()
        assert await probe.end() == [
            {"type": "websocket.receive", "text": ""},
            {"type": "websocket.receive", "bytes": b""},
            {"type": "websocket.receive", "text": "é"},
            {"type": "websocket.receive", "bytes": b"\x00\xff"},
            {"type": "websocket.disconnect", "code": 1000, "reason": ""},
        ]


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ({"text": "a"}, plain(TEXT, b"a")),
        ({"text": "a", "bytes": None}, plain(TEXT, b"a")),
        ({"bytes": b"a"}, plain(2, b"a")),
        ({"bytes": b"a", "text": None}, plain(2, b"a")),
        ({"bytes": bytearray(b"a")}, plain(2, b"a")),
        ({"bytes": memoryview(b"a")}, plain(2, b"a")),
        ({"text": ""}, plain(TEXT)),
        ({"bytes": b""}, plain(2)),
        ({"text": "a", "further": 1}, plain(TEXT, b"a")),
    ],
)
async def test_what_may_be_sent(http, message, frame):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.send", **message})

    async with open_socket(app, http=http) as (_, peer):
        assert await within(peer.connection.reader.readexactly(len(frame))) == frame
        assert await peer.closing() == (1000, "")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "websocket.send"}, LocalProtocolError),
        ({"type": "websocket.send", "text": None, "bytes": None}, LocalProtocolError),
        ({"type": "websocket.send", "text": "a", "bytes": b"a"}, LocalProtocolError),
        ({"type": "websocket.send", "text": "\ud800"}, LocalProtocolError),
        ({"type": "websocket.send", "text": b"a"}, TypeError),
        ({"type": "websocket.send", "bytes": "a"}, TypeError),
        ({"type": "websocket.send", "bytes": 5}, TypeError),
        ({"type": "websocket.accept"}, LocalProtocolError),
        ({"type": "websocket.receive", "text": "a"}, LocalProtocolError),
        ({"type": "http.response.start", "status": 200}, LocalProtocolError),
        ({"type": None}, LocalProtocolError),
        ({}, KeyError),
    ],
)
async def test_what_may_not_be_sent_raises_and_changes_nothing(http, message, error):
    async def app(scope, receive, send):
        await accept(receive, send)
        raised = await raised_by(send, message)
        await send({"type": "websocket.send", "text": type(raised).__name__})
        await disconnected(receive)

    async with open_socket(app, http=http) as (_, peer):
        assert await peer.text() == error.__name__
        await peer.leave()


@pytest.mark.parametrize("size", [125, 126, 4096, 65_535, 65_536, 1_000_000])
async def test_messages_of_every_size_come_back(http, size):
    content = "0123456789abcdef" * (size // 16 + 1)
    async with open_socket(echo, http=http) as (_, peer):
        await peer.send(text(content[:size]))
        assert await peer.text() == content[:size]
        await peer.send(binary(content[:size].encode()))
        assert await peer.binary() == content[:size].encode()


async def test_messages_sent_in_a_row_arrive_in_order(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        for number in range(200):
            await send({"type": "websocket.send", "text": str(number)})
            if number % 50 == 0:
                await send({"type": "websocket.send", "bytes": bytes(20_000)})
            if number % 70 == 0:
                await asyncio.sleep(0)
        await disconnected(receive)

    async with open_socket(app, http=http) as (_, peer):
        for number in range(200):
            assert await peer.text() == str(number)
            if number % 50 == 0:
                assert await peer.binary() == bytes(20_000)
        await peer.leave()


async def test_what_was_sent_in_a_row_comes_before_pong_and_close(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        await receive()
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
        await send({"type": "websocket.close"})

    async with open_socket(app, http=http) as (_, peer):
        await peer.send(text("go"))
        assert [await peer.text() for _ in range(3)] == ["0", "1", "2"]
        assert await peer.closing() == (1000, "")


async def test_a_message_is_not_held_back_by_an_application_that_goes_on_waiting(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
        await gate.wait()

    async with open_socket(app, http=http) as (_, peer):
        assert [await peer.text() for _ in range(3)] == ["0", "1", "2"]
        gate.set()


# -- line 32


async def test_fragments_are_one_message_and_pings_between_them_are_answered(http):
    first, *rest = fragments(TEXT, "ein Gruß".encode(), 3)
    async with open_socket(echo, http=http) as (_, peer):
        await peer.send(first, masked(PING, b"between"), *rest)
        assert await peer.pong() == b"between"
        assert await peer.text() == "ein Gruß"


async def test_pongs_nobody_asked_for_are_ignored(http):
    async with open_socket(echo, http=http) as (_, peer):
        await peer.send(masked(PONG, b"unasked"), text("on"))
        assert await peer.text() == "on"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (plain(TEXT, b"not masked"), 1002),
        (masked(TEXT, b"a", rsv=4), 1002),
        (masked(3, b"a"), 1002),
        (masked(PING, bytes(126)), 1002),
        (masked(CONTINUATION, b"a"), 1002),
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, bytes(1001)), 1009),
        (masked(TEXT, bytes(600), fin=False) + masked(CONTINUATION, bytes(600)), 1009),
        (bye(1005), 1002),
        (masked(8, b"x"), 1002),
    ],
)
async def test_a_breach_is_told_to_both_sides_after_what_was_complete(http, wrong, code):
    probe = SocketProbe(collect)
    async with open_socket(probe, http=http, ws_max_size=1000) as (_, peer):
        await peer.send(text("before") + wrong + text("behind"))
        told, reason = await peer.closing()
        assert told == code
        assert reason
        assert await peer.ended()
        before, disconnect = await probe.end()
        assert before["text"] == "before"
        assert disconnect == {"type": "websocket.disconnect", "code": code, "reason": reason}


async def test_1009_reaches_a_client_that_is_still_sending(http):
    async with open_socket(echo, http=http, ws_max_size=1 << 20) as (_, peer):
        writer = peer.connection.writer
        writer.write(binary(bytes(8 << 20)))
        assert (await peer.closing())[0] == 1009
        # Our side has ended; the rest is read and dropped, not reset.
        assert await within(peer.connection.reader.read(1)) == b""
        await within(writer.drain())


async def test_size_is_not_limited_where_the_limit_is_off(http):
    content = b"x" * (17 << 20)
    settings = {"http": http, "ws_max_size": 0}
    async with open_socket(echo, **settings) as (_, peer):
        peer.connection.writer.write(binary(content))
        assert await peer.binary() == content


async def test_fragments_are_limited_in_number(http):
    async with open_socket(echo, http=http, ws_max_fragments=3) as (_, peer):
        await peer.send(*fragments(TEXT, b"abc", 1))
        assert await peer.text() == "abc"
        await peer.send(*fragments(TEXT, b"abcd", 1))
        assert (await peer.closing())[0] == 1009


# -- compression


async def test_compression_is_agreed_and_works_both_ways(http):
    content = "to be or not to be, " * 100
    async with open_socket(echo, opening("/", DEFLATE), http=http) as (_, peer):
        agreed = peer.response.header(b"sec-websocket-extensions")
        assert agreed.startswith(b"permessage-deflate; ")
        inflate = zlib.decompressobj(-12)
        for _ in range(2):  # the second leans on the window of the first
            await peer.send(compressed(content.encode()))
            first, data = await peer.frame()
            assert first == 0xC1
            assert len(data) < len(content) / 5
            assert inflate.decompress(data + b"\x00\x00\xff\xff").decode() == content
        await peer.send(text("short"))
        assert await peer.text() == "short"  # not worth it
        await peer.leave()


async def test_compression_can_be_switched_off(http):
    settings = {"http": http, "ws_per_message_deflate": False}
    async with open_socket(echo, opening("/", DEFLATE), **settings) as (_, peer):
        assert peer.response.header(b"sec-websocket-extensions") is None
        await peer.send(compressed(b"never agreed"))
        assert (await peer.closing())[0] == 1002


async def test_a_message_that_inflates_beyond_the_limit_is_1009(http):
    settings = {"http": http, "ws_max_size": 100_000}
    async with open_socket(echo, opening("/", DEFLATE), **settings) as (_, peer):
        bomb = compressed(bytes(10 << 20), opcode=2)
        assert len(bomb) < 20_000
        await peer.send(bomb)
        assert (await peer.closing())[0] == 1009


async def test_many_small_frames_that_inflate_to_much_are_not_inflated_ahead(http):
    """200 messages of a megabyte in a read of 200 KB wait compressed."""
    gate = asyncio.Event()
    size = 1 << 20

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        for _ in range(200):
            message = await receive()
            assert len(message["bytes"]) == size
        await send({"type": "websocket.send", "text": "all"})

    request = opening("/", DEFLATE + "; client_no_context_takeover")
    async with open_socket(SocketProbe(app), request, http=http) as (server, peer):
        one = compressed(bytes(size), opcode=2)
        tracemalloc.start()
        try:
            peer.connection.writer.write(one * 200 + masked(PING))
            assert (await server.exchange(get())).body == b"/"  # the server has read by now
            gate.set()
            assert await peer.pong() == b""
            assert await peer.text() == "all"
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 20 * size
        assert await peer.closing() == (1000, "")
