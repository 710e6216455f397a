"""WebSocket over HTTP/2 (RFC 8441): the session is that of HTTP/1.1, its stream is a stream."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.testing import WebSocketPeer, running
from tests.http2.client import Client
from tests.support import within
from tests.websocket.websocket_frames import CONTINUATION, TEXT, masked
from tests.websocket_peer import (
    NO_PINGS,
    SocketProbe,
    accept,
    binary,
    bye,
    disconnected,
    echo,
    text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from tests.http2.client import Stream

VERSION = ("sec-websocket-version", "13")

NO_ERROR, PROTOCOL_ERROR, CANCEL = 0, 1, 8


class StreamConnection:
    """A stream after its handshake, as ``WebSocketPeer`` wants a connection."""

    def __init__(self, client: Client, stream: Stream) -> None:
        self.client = client
        self.stream = stream
        self.reader = stream.reader = asyncio.StreamReader()
        self.reader.feed_data(stream.content)

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            await self.client.upload(self.stream, chunk, end=False)

    def end(self) -> None:
        self.client.h2.end_stream(self.stream.number)
        self.client.flush()

    async def within(self, awaitable: Awaitable[Any]) -> Any:
        return await within(awaitable)

    async def closed(self) -> bool:
        return await within(self.reader.read(1)) == b""


def handshake(client: Client, path: str = "/", *further: tuple[str, str], **options: Any) -> Stream:
    options = {"method": "CONNECT", "protocol": "websocket", "end": False, **options}
    return client.begin(path, VERSION, *further, **options)


async def opened(client: Client, path: str = "/", *further: tuple[str, str]) -> WebSocketPeer:
    """A WebSocket that was accepted."""
    stream = handshake(client, path, *further)
    await client.until(lambda: stream.status)
    assert stream.status == 200, stream
    connection: Any = StreamConnection(client, stream)
    return WebSocketPeer(connection, None)  # type: ignore[arg-type] # there is no HTTP/1.1 response


async def leave(peer: WebSocketPeer) -> None:
    """Close as one should, and see the server do the same."""
    await peer.send(bye())
    assert await peer.closing() == (1000, "")
    assert await peer.ended()
    peer.connection.end()  # type: ignore[attr-defined] # of ``StreamConnection``


@asynccontextmanager
async def serving(app: Any, certified: Any = None, **settings: Any) -> AsyncIterator[Client]:
    tls = certified.settings if certified is not None else {}
    settings = {**NO_PINGS, **tls, **settings}
    async with running(app, lifespan="off", **settings) as server:
        trust = certified.client() if certified is not None else None
        async with await Client.open(server.host, server.port, trust) as client:
            yield client


async def test_messages_go_both_ways_and_the_scope_is_that_of_a_websocket(certified):
    for tls in (None, certified):
        probe = SocketProbe(echo)
        async with serving(probe, tls) as client:
            peer = await opened(client, "/chat?a=b", ("x-a", "1"))
            await peer.send(text("hello"), binary(b"\x00\xff"))
            assert await peer.text() == "hello"
            assert await peer.binary() == b"\x00\xff"
            await leave(peer)
            await probe.end()
            assert (await client.get("/next")).content == b"/next"
        scope = probe.scopes[0]
        assert scope["type"] == "websocket"
        assert scope["http_version"] == "2"
        assert scope["scheme"] == ("ws" if tls is None else "wss")
        assert (scope["path"], scope["query_string"]) == ("/chat", b"a=b")
        assert scope["headers"][0] == (b"host", b"a.example")
        assert "method" not in scope


async def test_the_server_says_that_it_speaks_it_and_does_not_where_it_does_not():
    async with serving(echo) as client:
        await client.until(lambda: client.acknowledged)
        assert client.h2.remote_settings.enable_connect_protocol == 1
    async with serving(echo, ws="none") as client:
        await client.until(lambda: client.acknowledged)
        assert not client.h2.remote_settings.enable_connect_protocol
        stream = await client.finish(handshake(client))
        assert stream.status == 501


async def test_a_message_larger_than_its_window_and_every_frame():
    message = bytes(range(256)) * 4096
    async with serving(echo) as client:
        peer = await opened(client)
        await peer.send(binary(message))
        assert await peer.binary() == message
        await leave(peer)


async def test_frames_may_be_cut_anywhere():
    async with serving(echo) as client:
        peer = await opened(client)
        data = masked(TEXT, b"hel", fin=False) + masked(CONTINUATION, b"lo")
        await peer.send(*[bytes((byte,)) for byte in data])
        assert await peer.text() == "hello"
        await leave(peer)


async def test_frames_may_come_with_the_handshake():
    release = asyncio.Event()

    async def late(scope, receive, send):
        await release.wait()
        await echo(scope, receive, send)

    async with serving(late) as client:
        stream = handshake(client)
        await client.upload(stream, text("early"), end=False)
        release.set()
        await client.until(lambda: stream.status)
        peer = WebSocketPeer(StreamConnection(client, stream), None)  # type: ignore[arg-type]
        assert await peer.text() == "early"
        await leave(peer)


async def test_many_websockets_and_requests_share_a_connection():
    async with serving(SocketProbe(echo)) as client:
        peers = [await opened(client, f"/{number}") for number in range(20)]
        for number, peer in enumerate(peers):
            await peer.send(text(f"to {number}"))
        assert (await client.get("/beside")).content == b"/beside"
        for number, peer in enumerate(peers):
            assert await peer.text() == f"to {number}"
            await leave(peer)


async def test_a_subprotocol_fields_and_compression_are_agreed_on():
    async def app(scope, receive, send):
        await accept(receive, send, subprotocol="b", headers=[(b"X-A", b"1")])
        await disconnected(receive)

    async with serving(app) as client:
        offer = ("sec-websocket-extensions", "permessage-deflate")
        stream = handshake(client, "/", ("sec-websocket-protocol", "a, b"), offer)
        await client.until(lambda: stream.status)
        assert stream.status == 200
        assert stream.fields[b"sec-websocket-protocol"] == b"b"
        assert stream.fields[b"sec-websocket-extensions"].startswith(b"permessage-deflate")
        assert stream.fields[b"x-a"] == b"1"
        assert not stream.fields.keys() & {b"upgrade", b"connection", b"sec-websocket-accept"}
        peer = WebSocketPeer(StreamConnection(client, stream), None)  # type: ignore[arg-type]
        await leave(peer)


async def test_a_denial_is_an_ordinary_response():
    async def app(scope, receive, send):
        await receive()
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"who?"})

    async with serving(app) as client:
        stream = await client.finish(handshake(client))
        assert (stream.status, stream.content) == (401, b"who?")
        stream = await client.finish(handshake(client, "/close"))
        assert stream.status == 403


@pytest.mark.parametrize(
    ("further", "options", "status"),
    [
        ([], {"protocol": "connect-udp"}, 501),
        ([("sec-websocket-protocol", "a, a")], {}, 400),
        ([("sec-websocket-extensions", "a;")], {}, 400),
        ([("origin", "https://b.example")], {}, 403),
    ],
)
async def test_a_handshake_that_is_wrong_is_refused(further, options, status):
    async with serving(echo, ws_allow_origin=("https://a.example",)) as client:
        stream = await client.finish(handshake(client, "/", *further, **options))
        assert stream.status == status
        assert b"upgrade" not in stream.fields
        assert not client.goaways


async def test_another_version_is_refused_without_fields_that_http_2_forbids():
    async with serving(echo) as client:
        options = {"method": "CONNECT", "protocol": "websocket", "end": False}
        stream = client.begin("/", ("sec-websocket-version", "8"), **options)
        await client.finish(stream)
        assert stream.status == 426
        assert stream.fields[b"sec-websocket-version"] == b"13"


async def test_a_reset_is_an_abnormal_end():
    probe = SocketProbe(_until_disconnected)
    async with serving(probe) as client:
        peer = await opened(client)
        client.reset(peer.connection.stream)  # type: ignore[attr-defined]
        message = await probe.end()
        assert message["code"] == 1006
        assert (await client.get("/next")).content == b"/next"


async def test_the_end_of_the_stream_without_a_close_frame_is_an_abnormal_end():
    probe = SocketProbe(_until_disconnected)
    async with serving(probe) as client:
        peer = await opened(client)
        peer.connection.end()  # type: ignore[attr-defined]
        message = await probe.end()
        assert message["code"] == 1006
        assert await peer.ended()


async def test_a_lost_connection_is_an_abnormal_end():
    probe = SocketProbe(_until_disconnected)
    async with serving(probe) as client:
        await opened(client)
        client.writer.transport.abort()
        assert (await probe.end())["code"] == 1006


async def test_what_is_no_frame_ends_that_websocket_with_1002_and_no_other():
    async with serving(SocketProbe(echo)) as client:
        peer = await opened(client)
        other = await opened(client)
        await peer.send(b"\xff\xff\xff\xff")
        assert (await peer.closing())[0] == 1002
        await other.send(text("still here"))
        assert await other.text() == "still here"
        await leave(other)


async def test_an_application_that_does_not_receive_shuts_the_window_of_its_stream_only():
    release = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/stuck":
            await accept(receive, send)
            await release.wait()
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": str(len(message["bytes"]))})
        else:
            await echo(scope, receive, send)

    async with serving(app) as client:
        stuck, other = await opened(client, "/stuck"), await opened(client, "/other")
        message = binary(bytes(16_000))
        stream = stuck.connection.stream  # type: ignore[attr-defined]
        sent = 0
        while client.h2.local_flow_control_window(stream.number) >= len(message) and sent < 50:
            await stuck.send(message)
            sent += 1
            await other.send(text("x"))
            assert await other.text() == "x"
        assert sent < 50, "the window never shut"
        release.set()
        for _ in range(sent):
            assert await stuck.text() == "16000"
        await leave(stuck)
        await leave(other)


async def test_a_client_that_does_not_take_messages_makes_its_application_wait():
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "bytes": bytes(16_000)})
            sent += 16_000

    async with serving(app) as client:
        client.acknowledges = False
        await opened(client)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 512 * 1024


async def test_a_handshake_that_is_not_answered_in_time_is_refused():
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    async with serving(app, timeout_ws_handshake=0.2) as client:
        stream = await client.finish(handshake(client))
        assert stream.status == 503


async def test_a_silent_client_is_pinged():
    async with serving(echo, ws_ping_interval=0.1) as client:
        peer = await opened(client)
        await peer.ping()


async def test_a_client_that_does_not_answer_a_ping_is_let_go():
    probe = SocketProbe(_until_disconnected)
    async with serving(probe, ws_ping_interval=0.1, ws_ping_timeout=0.1) as client:
        await opened(client)
        assert (await probe.end())["code"] == 1006


async def test_a_server_that_stops_closes_with_1012():
    async with running(echo, lifespan="off", **NO_PINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            peer = await opened(client)
            stopping = asyncio.create_task(server.server.close())
            assert (await peer.closing())[0] == 1012
            await peer.send(bye(1012))
            peer.connection.end()  # type: ignore[attr-defined]
            await within(stopping)


async def _until_disconnected(scope: Any, receive: Any, send: Any) -> Any:
    await accept(receive, send)
    return await disconnected(receive)
