"""The client side of the WebSocket benchmarks: prebuilt frames on bare uvloop protocols.

It runs in a process of its own and talks to the parent by lines: ``ready`` when all sockets
are open, a JSON object at the end. Between them it waits for a line on standard input, so that
the parent can look at the server's CPU time first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from time import perf_counter
from typing import cast

from katana_asgi.testing import masked, opening
from katana_asgi.testing.websocket_peer import FIN, PING, PONG, TEXT, length_field

__all__ = ["HANDSHAKE", "echoed", "main"]

HANDSHAKE = opening(host="127.0.0.1")
CONNECTING = 200
"""Handshakes under way at once: below every server's backlog."""

AT_LEAST = 200
"""Echoes that a figure needs, however long they take on a busy machine."""
PATIENCE = 20.0
"""Seconds to wait for them."""

PING_FRAME = FIN | PING


def echoed(content: bytes) -> bytes:
    """Return the same message as the server sends it back."""
    return bytes([FIN | TEXT]) + length_field(len(content), 0) + content


class Client(asyncio.Protocol):
    """One socket: sends its frame, and again whenever the whole echo has come back."""

    __slots__ = ("_frame", "_left", "_size", "_write", "count", "opened", "transport", "wrong")

    def __init__(self, content: bytes) -> None:
        self._frame = masked(TEXT, content)
        self._size = self._left = len(echoed(content))
        self.count = 0
        self.wrong = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self._write = self.transport.write
        self._write(HANDSHAKE)

    def go(self) -> None:
        """Send the first message."""
        self._write(self._frame)

    def data_received(self, data: bytes) -> None:
        """Count an echo, send the next message."""
        if not self.opened.done():
            if data.startswith(b"HTTP/1.1 101") and data.endswith(b"\r\n\r\n"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(f"no WebSocket: {data[:80]!r}"))
            return
        left = self._left - len(data)
        if left:
            # A ping of the server's, between two messages, is not answered: runs are short.
            self._left = left
            self.wrong = left < 0 or self.wrong
            return
        self._left = self._size
        self.count += 1
        self._write(self._frame)


class Idler(Client):
    """A socket that only answers pings."""

    def data_received(self, data: bytes) -> None:
        """Answer the handshake's answer with nothing and pings with pongs."""
        if not self.opened.done():
            super().data_received(data)
            return
        if data[0] == PING_FRAME:
            self.transport.write(masked(PONG, data[2 : 2 + data[1]]))
            self.count += 1


async def connect(port: int, kind: type[Client], content: bytes, number: int) -> list[Client]:
    """Open so many sockets, a few at a time."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < number:
        batch = [
            loop.create_connection(lambda: kind(content), "127.0.0.1", port)
            for _ in range(min(CONNECTING, number - len(clients)))
        ]
        opened = [client for _, client in await asyncio.gather(*batch)]
        await asyncio.gather(*(client.opened for client in opened))
        clients += opened
    return clients


async def told_to_go() -> None:
    """Wait for a line of the parent's."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def counted(clients: list[Client]) -> int:
    """Return the number of echoes, or pongs, of all sockets."""
    return sum(client.count for client in clients)


async def load(arguments: argparse.Namespace) -> dict[str, float]:
    """Do what the parent asks for; return the result."""
    content = (b"0123456789abcdef" * (arguments.size // 16 + 1))[: arguments.size]
    kind = Idler if arguments.idle else Client
    clients = await connect(arguments.port, kind, content, arguments.connections)
    print("ready", flush=True)
    await told_to_go()
    started = perf_counter()
    if arguments.idle:
        await told_to_go()
    else:
        for client in clients:
            client.go()
        await asyncio.sleep(arguments.seconds)
        while counted(clients) < AT_LEAST and perf_counter() - started < PATIENCE:
            await asyncio.sleep(0.1)
    seconds = perf_counter() - started
    count = counted(clients)
    wrong = sum(client.wrong or client.transport.is_closing() for client in clients)
    for client in clients:
        client.transport.abort()
    return {"count": count, "seconds": seconds, "wrong": wrong}


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--idle", action="store_true")
    import uvloop

    print(json.dumps(uvloop.run(load(parser.parse_args()))), flush=True)


if __name__ == "__main__":
    main()
