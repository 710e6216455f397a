"""The worker ends while WebSockets are open (obligation 33), and the line about each of them."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from katana_asgi.errors import ClientDisconnected
from katana_asgi.testing import WebSocketPeer, opening, running
from tests.applications import get, raised_by
from tests.support import within
from tests.websocket_peer import (
    NO_PINGS,
    SocketProbe,
    accept,
    bye,
    disconnected,
    echo,
    open_socket,
    text,
)

LONG = 3600.0
"""A budget that no test waits for."""


def closing(server) -> asyncio.Future:
    """Begin to close."""
    return asyncio.ensure_future(server.server.close())


async def test_an_open_websocket_is_closed_with_1012(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        message = await receive()
        return message, await raised_by(send, {"type": "websocket.send", "text": "late"})

    probe = SocketProbe(app)
    settings = {"http": http, "timeout_graceful_shutdown": LONG, "timeout_ws_shutdown": LONG}
    async with open_socket(probe, **settings) as (server, peer):
        closed = closing(server)
        assert await peer.closing() == (1012, "")
        message, error = await probe.end()
        assert message == {"type": "websocket.disconnect", "code": 1012, "reason": ""}
        assert isinstance(error, ClientDisconnected)
        assert not closed.done()
        await peer.send(bye(1012))
        assert await peer.ended()
        await within(closed)


async def test_what_was_received_before_is_still_delivered(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        return [(await receive()).get("text") for _ in range(3)]

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (server, peer):
        await peer.send(text("1") + text("2"))
        await server.exchange(get())
        closed = closing(server)
        assert await peer.closing() == (1012, "")
        gate.set()
        assert await probe.end() == ["1", "2", None]
        await peer.send(bye(1012))
        await within(closed)


async def test_a_client_that_does_not_answer_is_dropped_within_its_own_budget(http):
    settings = {"timeout_graceful_shutdown": LONG, "timeout_ws_shutdown": 0.1}
    async with open_socket(echo, http=http, **settings) as (server, peer):
        closed = closing(server)
        assert await peer.closing() == (1012, "")
        assert await peer.ended()
        await within(closed)


@pytest.mark.parametrize("swallows", [False, True])
async def test_an_application_that_does_not_end_is_cancelled_within_that_budget(http, swallows):
    async def app(scope, receive, send):
        await accept(receive, send)
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            if not swallows:
                raise
        return await receive()

    probe = SocketProbe(app)
    settings = {"timeout_graceful_shutdown": LONG, "timeout_ws_shutdown": 0.1}
    async with open_socket(probe, http=http, **settings) as (server, peer):
        closed = closing(server)
        assert await peer.closing() == (1012, "")
        await peer.send(bye(1012))
        assert await peer.ended()
        end = await probe.end()
        assert end["code"] == 1012 if swallows else isinstance(end, asyncio.CancelledError)
        await within(closed)


async def test_the_whole_budget_ends_an_application_that_takes_no_notice(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                gate.set()
                raise

    gate = asyncio.Event()
    probe = SocketProbe(app)
    settings = {"timeout_graceful_shutdown": 0.1, "timeout_ws_shutdown": LONG}
    async with open_socket(probe, http=http, **settings) as (server, peer):
        closed = closing(server)
        assert await peer.closing() == (1012, "")
        assert isinstance(await probe.end(), asyncio.CancelledError)
        await within(closed)
        assert await peer.ended()


async def test_a_websocket_that_is_accepted_during_shutdown_is_closed_too(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        begun.set()
        await gate.wait()
        await send({"type": "websocket.accept"})
        return await disconnected(receive)

    begun = asyncio.Event()
    probe = SocketProbe(app)
    settings = {"http": http, "lifespan": "off", "timeout_graceful_shutdown": LONG}
    async with running(probe, **settings) as server, await server.connect() as connection:
        await connection.send(opening())
        await within(begun.wait())
        closed = closing(server)
        await asyncio.sleep(0)
        gate.set()
        peer = await WebSocketPeer.over(connection, b"")
        assert await peer.closing() == (1012, "")
        await peer.send(bye(1012))
        assert (await probe.end())["code"] == 1012
        await within(closed)


async def test_a_denial_during_shutdown_says_close(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        begun.set()
        await gate.wait()
        await send({"type": "websocket.close"})

    begun = asyncio.Event()
    settings = {"http": http, "lifespan": "off", "timeout_graceful_shutdown": LONG}
    async with running(app, **settings) as server, await server.connect() as connection:
        await connection.send(opening())
        await within(begun.wait())
        closed = closing(server)
        await asyncio.sleep(0)
        gate.set()
        response = await connection.response()
        assert (response.status, response.header(b"connection")) == (403, b"close")
        await within(closed)


async def test_a_websocket_that_is_closing_already_gets_no_second_frame(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close", "code": 4000})
        return await receive()

    probe = SocketProbe(app)
    settings = {"timeout_graceful_shutdown": LONG, "timeout_ws_shutdown": 0.1}
    async with open_socket(probe, http=http, timeout_ws_close=LONG, **settings) as (server, peer):
        assert await peer.closing() == (4000, "")
        closed = closing(server)
        assert await peer.ended()
        await within(closed)
        assert (await probe.end())["code"] == 1006


async def test_a_forced_stop_drops_websockets_at_once(http):
    async with open_socket(echo, http=http, timeout_graceful_shutdown=LONG) as (server, peer):
        server.server.stop(force=True)
        await within(closing(server))
        await peer.connection.rest()


# -- the access log


async def test_the_access_log_has_a_line_for_each_websocket_at_its_end(http, caplog):
    request = opening('/chat?a="b')
    with caplog.at_level(logging.INFO, "katana_asgi.access"):
        settings = {"http": http, "access_log": True, **NO_PINGS}
        async with open_socket(SocketProbe(echo), request, **settings) as (_, peer):
            port = peer.connection.writer.get_extra_info("sockname")[1]
            await peer.send(text("hello"), text("you"))
            assert (await peer.text(), await peer.text()) == ("hello", "you")
            assert caplog.messages == []
            await peer.leave()
    [line] = caplog.messages
    expected = (
        rf'127\.0\.0\.1:{port} - "WebSocket /chat\?a=\\x22b HTTP/1\.1" 101 Switching Protocols '
        r"\(closed 1000 after \d+\.\d{3}s, in 2 messages 28 bytes, out 2 messages 16 bytes\)"
    )
    assert re.fullmatch(expected, line), line


async def test_a_refused_handshake_is_logged_as_the_response_it_is(http, caplog):
    async def app(scope, receive, send):
        await send({"type": "websocket.close"})

    with caplog.at_level(logging.INFO, "katana_asgi.access"):
        settings = {"http": http, "access_log": True, "lifespan": "off"}
        async with running(app, **settings) as server:
            assert (await server.exchange(opening("/no"))).status == 403
    [line] = caplog.messages
    assert line.endswith('"GET /no HTTP/1.1" 403 Forbidden')
