"""The ``websockets`` library as a client: what it sends and expects, it gets."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from katana_asgi.testing import running
from tests.support import within
from tests.websocket_peer import SocketProbe, accept, disconnected, echo

TEXT = "Grüße, " * 1000


def url(server, target: str = "/") -> str:
    """The server's address."""
    return f"ws://{server.host}:{server.port}{target}"


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_an_echo_comes_back_whatever_was_sent(http, compression):
    async with (
        running(echo, http=http, lifespan="off") as server,
        connect(url(server), compression=compression, max_size=None) as client,
    ):
        assert bool(client.protocol.extensions) is (compression is not None)
        for message in ("", "a", TEXT, b"", bytes(range(256)) * 1000, TEXT * 100, b"x" * 3_000_000):
            await client.send(message)
            assert await within(client.recv()) == message
        await client.send(["frag", "men", "ted"])
        assert await within(client.recv()) == "fragmented"
        await within(await client.ping(b"are you there?"))
        await client.close(4000, "that is all")
    assert (client.close_code, client.close_reason) == (4000, "that is all")


@pytest.mark.parametrize(
    "offer",
    [
        {},
        {"server_max_window_bits": 9},
        {"server_max_window_bits": 15, "client_max_window_bits": 15},
        {"client_max_window_bits": 9},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
    ],
)
async def test_every_offer_of_compression_works(http, offer):
    extensions = [ClientPerMessageDeflateFactory(**offer)]
    async with (
        running(echo, http=http, lifespan="off") as server,
        connect(url(server), compression=None, extensions=extensions) as client,
    ):
        [extension] = client.protocol.extensions
        for name, value in offer.items():
            ours = name.replace("server", "remote").replace("client", "local")
            assert getattr(extension, ours) <= value or value is True
        for number in range(5):
            await client.send(f"{number} {TEXT}")
            assert await within(client.recv()) == f"{number} {TEXT}"


async def test_hundreds_of_messages_under_way_at_once(http):
    async with (
        running(echo, http=http, lifespan="off") as server,
        connect(url(server), compression=None) as client,
    ):

        async def send_all():
            for number in range(2000):
                await client.send(str(number))

        sending = asyncio.ensure_future(send_all())
        for number in range(2000):
            assert await within(client.recv()) == str(number)
        await sending


async def test_subprotocol_headers_and_origin_arrive(http):
    async def app(scope, receive, send):
        await accept(receive, send, subprotocol="b", headers=[(b"set-cookie", b"a=1")])
        return dict(scope["headers"])[b"origin"], scope["subprotocols"]

    probe = SocketProbe(app)
    async with (
        running(probe, http=http, lifespan="off") as server,
        connect(url(server), subprotocols=["a", "b"], origin="https://page.example") as client,
    ):
        assert client.subprotocol == "b"
        assert client.response.headers["set-cookie"] == "a=1"
        with pytest.raises(ConnectionClosedOK):
            await within(client.recv())
        assert await probe.end() == (b"https://page.example", ["a", "b"])


async def test_a_refusal_is_a_response(http):
    async def app(scope, receive, send):
        if scope["path"] == "/deny":
            start = {"type": "websocket.http.response.start", "status": 401}
            await send({**start, "headers": [(b"www-authenticate", b"Basic")]})
            body = {"type": "websocket.http.response.body"}
            await send({**body, "body": b"who are ", "more_body": True})
            await send({**body, "body": b"you?"})
        else:
            await send({"type": "websocket.close"})

    async with running(app, http=http, lifespan="off") as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server))
        assert caught.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server, "/deny"))
        response = caught.value.response
        assert (response.status_code, bytes(response.body)) == (401, b"who are you?")
        assert response.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [("close", 4321, "as asked"), ("return", 1000, ""), ("raise", 1011, "")],
)
async def test_the_client_sees_how_the_application_ended_it(http, caplog, message, code, reason):
    async def app(scope, receive, send):
        await accept(receive, send)
        wish = (await receive())["text"]
        if wish == "close":
            await send({"type": "websocket.close", "code": 4321, "reason": "as asked"})
        elif wish == "raise":
            raise ValueError(wish)

    async with running(app, http=http, lifespan="off") as server, connect(url(server)) as client:
        await client.send(message)
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as caught:
            await within(client.recv())
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)


async def test_too_large_a_message_is_1009_for_the_client(http):
    async with running(echo, http=http, lifespan="off", ws_max_size=1000) as server:
        client = await connect(url(server), compression=None)
        await client.send("x" * 5_000_000)
        with pytest.raises(ConnectionClosedError) as caught:
            await within(client.recv())
        assert caught.value.rcvd.code == 1009
        await within(client.wait_closed())


async def test_its_pings_and_ours_keep_the_connection(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        await send({"type": "websocket.send", "text": "still here"})
        await disconnected(receive)

    gate = asyncio.Event()
    settings = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.2, "timeout_keep_alive": 0.5}
    async with (
        running(app, http=http, lifespan="off", **settings) as server,
        connect(url(server), ping_interval=0.1, ping_timeout=0.5) as client,
        await server.connect() as other,
    ):
        await other.send(b"\r\n")
        for _ in range(3):
            await within(await client.ping())
        asyncio.get_running_loop().call_later(0.6, gate.set)  # several intervals of both
        assert await within(client.recv()) == "still here"


async def test_shutdown_is_1012_for_the_client(http):
    async with running(echo, http=http, lifespan="off") as server, connect(url(server)) as client:
        server.server.stop()
        closed = asyncio.ensure_future(server.server.close())
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as caught:
            await within(client.recv())
        assert caught.value.rcvd.code == 1012
        await within(closed)
