"""Raw clients notice what is not as it should be; a server of one's own serves real ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from katana_asgi.testing import HttpPeer, ServerThread, WebSocketPeer, running
from tests.support import TIMEOUT

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.send_bytes(await websocket.receive_bytes())
    await websocket.receive()


SITE = Starlette(
    routes=[Route("/", lambda _: PlainTextResponse("ok")), WebSocketRoute("/socket", echo)]
)


@asynccontextmanager
async def answering(answer: bytes):
    """A peer whose server sends this and ends its side."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, await HttpPeer.open(*server.sockets[0].getsockname()) as peer:
        yield peer


async def test_a_server_in_this_loop_serves_a_framework_s_application():
    async with running(SITE) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        response = await server.exchange(GET[:7], GET[7:])
        assert (response.status, response.reason, response.body) == (200, b"OK", b"ok")
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"
        assert response.header(b"x-nothing") is None
        async with httpx.AsyncClient() as client:
            assert (await client.get(server.url)).text == "ok"


def test_a_server_in_a_thread_serves_until_it_is_stopped():
    server = ServerThread(SITE)
    assert httpx.get(server.url).text == "ok"
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


async def test_a_websocket_peer_talks_to_a_framework_s_application():
    async with running(SITE) as server, await server.connect() as connection:
        peer = await WebSocketPeer.over(
            connection, b"GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )  # fmt: skip
        await peer.send_text("héllo")
        assert await peer.text() == "héllo"
        await peer.send_binary(bytes(70_000))
        assert await peer.binary() == bytes(70_000)
        await peer.leave()


async def test_a_handshake_that_is_refused_is_noticed():
    async with running(SITE) as server, await server.connect() as connection:
        with pytest.raises(AssertionError, match="not accepted"):
            await WebSocketPeer.over(connection)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\nokmore", b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\nmore", b"ok"),
        (OK + b"\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\nmore", b""),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nmore", b""),
    ],
)
async def test_a_response_is_read_by_its_framing(answer, body):
    async with answering(answer) as peer:
        assert (await peer.response()).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"a name: x\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokay0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_response_that_is_not_well_framed_is_noticed(answer):
    async with answering(answer) as peer:
        with pytest.raises(AssertionError):
            await peer.response()


async def test_a_response_that_breaks_off_or_does_not_come_is_noticed():
    async with answering(OK + b"Content-Length: 3\r\n\r\nok") as peer:
        with pytest.raises(asyncio.IncompleteReadError):
            await peer.response()
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()

    async with running(app, lifespan="off") as server, await server.connect() as peer:
        peer.timeout = 0.01
        await peer.send(GET)
        with pytest.raises(TimeoutError):
            await peer.head()
        gate.set()
        peer.timeout = TIMEOUT
        assert (await peer.response()).status == 500


@pytest.mark.parametrize(
    ("sent", "reading"),
    [
        (b"\x81\x82\x00\x00\x00\x00hi", "text"),  # masked
        (b"\x81\x02hi", "binary"),
        (b"\x01\x02hi", "text"),  # not the last frame of its message
        (b"\x81\x00", "closing"),
    ],
)
async def test_a_frame_that_is_not_as_expected_is_noticed(sent, reading):
    async with answering(sent) as connection:
        peer = WebSocketPeer(connection, None)
        with pytest.raises(AssertionError):
            await getattr(peer, reading)()


IMPORTS = """
import sys
import katana_asgi, katana_asgi.cli, katana_asgi.uvicorn, katana_asgi.worker.server
assert not [name for name in sys.modules if name.startswith("katana_asgi.testing")]
import katana_asgi.testing
assert "pytest" not in sys.modules
"""


def test_what_serves_does_not_import_the_room_and_the_room_does_not_import_pytest():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
