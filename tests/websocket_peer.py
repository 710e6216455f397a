"""Messages of WebSocket clients, and an application that remembers its calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from katana_asgi.testing import Running, WebSocketPeer, running
from tests.support import within
from tests.websocket.websocket_frames import (
    BINARY,
    CLOSE,
    TEXT,
    closing,
    masked,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from katana_asgi.asgi_types import Message, Receive, Scope, Send

    Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = [
    "NO_PINGS",
    "SocketProbe",
    "accept",
    "binary",
    "bye",
    "disconnected",
    "echo",
    "open_socket",
    "text",
]

NO_PINGS = {"ws_ping_interval": 0}


def text(content: str) -> bytes:
    """A text message as a client sends it."""
    return masked(TEXT, content.encode())


def binary(content: bytes) -> bytes:
    """A binary message as a client sends it."""
    return masked(BINARY, content)


def bye(code: int | None = 1000, reason: str = "") -> bytes:
    """A close frame as a client sends it."""
    return masked(CLOSE, b"" if code is None else closing(code, reason.encode()))


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
) -> AsyncIterator[tuple[Running, WebSocketPeer]]:
    """A server of its own that serves ``app`` without lifespan, and an open WebSocket to it."""
    settings = {"lifespan": "off", **settings}
    async with running(app, **settings) as server, await server.connect() as connection:
        yield server, await WebSocketPeer.over(connection, *request)
