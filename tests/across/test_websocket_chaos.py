"""Clients and applications that do anything at any time: every WebSocket comes to its end."""

from __future__ import annotations

import asyncio
import random
import zlib

import pytest

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.testing import WebSocketPeer, opening, running
from tests.support import within
from tests.websocket.websocket_frames import CONTINUATION, PING, PONG, TEXT, masked
from tests.websocket_peer import SocketProbe, binary, bye, text

SOCKETS = 60
STEPS = 12
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"


def squeezed(content: bytes) -> bytes:
    """A compressed message that needs no earlier one."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    data = compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return masked(TEXT, data[:-4], rsv=4)


FRAMES = (
    text("a"),
    text("é" * 5000),
    binary(bytes(70_000)),
    text("1") + text("2") + text("3"),
    masked(TEXT, b"be", fin=False),
    masked(CONTINUATION, b"gun"),
    masked(PING, b"?"),
    masked(PONG),
    squeezed(b"x" * 50_000),
    masked(TEXT, b"half")[:7],
    b"\xff\xff",
)
ENDINGS = ("bye", "bye", "half_close", "reset", "wait")


class Client:
    """A client that sends what it likes and reads what it gets, then ends in some way."""

    def __init__(self, server, dice: random.Random) -> None:
        self._server = server
        self._dice = dice
        self.frames: list = []
        self.rest = b""
        self.ending = dice.choice(ENDINGS)

    async def run(self) -> None:
        dice = self._dice
        connection = await self._server.connect()
        lines = [DEFLATE] if dice.random() < 0.5 else []
        peer = await WebSocketPeer.over(connection, opening("/", *lines))
        reading = asyncio.ensure_future(self._read(peer))
        try:
            for _ in range(dice.randrange(STEPS)):
                # Rarely what breaks the protocol: most steps should follow one another.
                sent = dice.choice(FRAMES[:4] if dice.random() < 0.7 else FRAMES)
                await within(peer.send(sent))
                if dice.random() < 0.3:
                    await asyncio.sleep(0)
            if self.ending == "bye":
                await within(peer.send(bye(4000)))
            elif self.ending != "wait":
                getattr(connection, self.ending)()
        except (OSError, RuntimeError):
            pass  # the server was faster; uvloop says so with a RuntimeError
        await within(reading)
        connection.writer.close()

    async def _read(self, peer: WebSocketPeer) -> None:
        try:
            while True:
                self.frames.append(await peer.frame())
        except asyncio.IncompleteReadError as error:
            self.rest = error.partial
        except OSError:
            pass


def application(dice: random.Random, ends: list):
    """An application that does what it likes."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(dice.randrange(STEPS)):
            wish = dice.random()
            if wish < 0.4:
                if (await receive())["type"] == "websocket.disconnect":
                    ends.append("disconnect")
                    return
            elif wish < 0.7:
                await send({"type": "websocket.send", "text": "x" * dice.choice((1, 200, 60_000))})
            elif wish < 0.75:
                await send({"type": "websocket.close", "code": 4001})
            elif wish < 0.8:
                waiting = asyncio.ensure_future(receive())
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            elif wish < 0.9:
                await asyncio.sleep(0)
            elif wish < 0.93:
                raise ZeroDivisionError
        ends.append("return")

    return app


@pytest.mark.parametrize("seed", range(3))
async def test_everything_comes_to_its_end(http, seed, caplog):
    dice = random.Random(seed)
    ends: list = []
    troubles: list = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: troubles.append(told))
    probe = SocketProbe(application(dice, ends))
    # Where both sides wait for each other the idle timeout ends it.
    settings = {"timeout_ws_close": 1, "timeout_ws_idle": 0.3, "ws_max_queue": 4}
    async with running(probe, http=http, lifespan="off", **settings) as server:
        clients = [Client(server, random.Random(dice.random())) for _ in range(SOCKETS)]
        await asyncio.gather(*(client.run() for client in clients))
        for _ in range(SOCKETS):
            end = await probe.end()
            assert end is None or isinstance(
                end, ZeroDivisionError | ClientDisconnected | LocalProtocolError
            )
        while server.server.connections:
            await asyncio.sleep(0.01)
    assert troubles == []
    for record in caplog.records:
        assert record.exc_info is None or record.exc_info[0] in (
            ZeroDivisionError,
            LocalProtocolError,
        )
    for client in clients:
        opcodes = [frame.first & 0x0F for frame in client.frames]
        assert 8 not in opcodes[:-1], "frames behind a close frame"
        assert client.rest == b"", "half a frame"
        if client.ending in ("bye", "wait"):
            assert opcodes[-1:] == [8], "no close frame"
