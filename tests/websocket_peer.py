"""A WebSocket client that sees every byte, and an application that remembers its calls.

``Peer`` speaks over a raw connection: frames go out as they are written by hand, frames that
come in are checked for what RFC 6455 asks of a server's frames.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.support import Connection, Response, Running, running, within
from tests.websocket.websocket_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    closing,
    masked,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from katana_asgi.asgi_types import Message, Receive, Scope, Send

    Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = [
    "KEY",
    "NO_PINGS",
    "Frame",
    "Peer",
    "SocketProbe",
    "accept",
    "binary",
    "bye",
    "disconnected",
    "echo",
    "open_socket",
    "text",
    "upgrade",
]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The key of RFC 6455 §1.3 and the answer to it."""

NO_PINGS = {"ws_ping_interval": 0}


def upgrade(target: str = "/", *lines: str, key: str | None = KEY, version: str = "13") -> bytes:
    """An opening handshake; ``lines`` are further field lines."""
    head = [f"GET {target} HTTP/1.1", "Host: example", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Version: {version}"] if version else []
    head += [f"Sec-WebSocket-Key: {key}"] if key is not None else []
    return "\r\n".join([*head, *lines, "", ""]).encode("utf-8")


def text(content: str) -> bytes:
    """A text message as a client sends it."""
    return masked(TEXT, content.encode())


def binary(content: bytes) -> bytes:
    """A binary message as a client sends it."""
    return masked(BINARY, content)


def bye(code: int | None = 1000, reason: str = "") -> bytes:
    """A close frame as a client sends it."""
    return masked(CLOSE, b"" if code is None else closing(code, reason.encode()))


class Frame(NamedTuple):
    """One frame off the wire."""

    first: int
    content: bytes


class Peer:
    """The client's side of one WebSocket."""

    def __init__(self, connection: Connection, response: Response) -> None:
        self.connection = connection
        self.response = response

    @classmethod
    async def over(cls, connection: Connection, *request: bytes) -> Self:
        """Shake hands over a connection; fails unless the server agrees."""
        await connection.send(*(request or (upgrade(),)))
        response = await connection.head()
        assert response.status == 101, response.head
        assert response.header(b"upgrade") == b"websocket"
        assert response.header(b"connection") == b"Upgrade"
        assert response.header(b"sec-websocket-accept") == ACCEPT
        return cls(connection, response)

    async def send(self, *chunks: bytes) -> None:
        """Send each chunk in a write of its own."""
        await self.connection.send(*chunks)

    async def frame(self) -> Frame:
        """Read one frame; fails when it is masked."""
        reader = self.connection.reader
        first, size = await within(reader.readexactly(2))
        assert size < 0x80, "a server does not mask"
        if size >= 126:
            length = await within(reader.readexactly(2 if size == 126 else 8))
            size = int.from_bytes(length, "big")
        return Frame(first, await within(reader.readexactly(size)))

    async def text(self) -> str:
        """Read a text message in one plain frame."""
        first, content = await self.frame()
        assert first == 0x80 | TEXT, (first, content)
        return content.decode()

    async def binary(self) -> bytes:
        """Read a binary message in one plain frame."""
        first, content = await self.frame()
        assert first == 0x80 | BINARY, (first, content)
        return content

    async def ping(self) -> bytes:
        """Read a ping; returns its content."""
        first, content = await self.frame()
        assert first == 0x80 | PING, (first, content)
        return content

    async def pong(self) -> bytes:
        """Read a pong; returns its content."""
        first, content = await self.frame()
        assert first == 0x80 | PONG, (first, content)
        return content

    async def closing(self) -> tuple[int | None, str]:
        """Read a close frame; returns its code and reason."""
        first, content = await self.frame()
        assert first == 0x80 | CLOSE, (first, content)
        if not content:
            return None, ""
        return int.from_bytes(content[:2], "big"), content[2:].decode()

    async def ended(self) -> bool:
        """Whether the server ends the connection without another byte."""
        return await self.connection.closed()

    async def leave(self) -> None:
        """Close as one should, and see the server do the same."""
        await self.send(bye())
        assert await self.closing() == (1000, "")
        assert await self.ended()


async def accept(receive: Receive, send: Send, **more: Any) -> None:
    """Answer the handshake."""
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **more})


async def disconnected(receive: Receive) -> Message:
    """Read messages until there are no more; returns the ``websocket.disconnect``."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and send every message back."""
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class SocketProbe:
    """An application that calls ``handler`` for each WebSocket; tells how each call ended.

    ``end`` gives what a call returned or raised. Requests that are none get their path back.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.scopes: list[Scope] = []
        self._ends: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] in ("http", "websocket")
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": scope["raw_path"]})
            return
        end: Any = None
        try:
            end = await self._handler(scope, receive, send)
        except BaseException as raised:
            end = raised
            raise
        finally:
            self._ends.put_nowait(end)

    async def end(self) -> Any:
        """Wait for the end of the next call that ends."""
        return await within(self._ends.get())


@asynccontextmanager
async def open_socket(
    app: Any, *request: bytes, **settings: Any
) -> AsyncIterator[tuple[Running, Peer]]:
    """A server of its own that serves ``app`` without lifespan, and an open WebSocket to it."""
    settings = {"lifespan": "off", **settings}
    async with running(app, **settings) as server, await server.connect() as connection:
        yield server, await Peer.over(connection, *request)
