"""The small applications that tests serve, and what they need to speak ASGI shortly.

A ``Probe`` is an application made of one handler; it tells a test how each call ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from katana_asgi.asgi_types import Message, Receive, Scope, Send

    Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["Probe", "content_of", "get", "respond", "start"]


def get(target: str = "/", *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    """A request head; ``lines`` are further field lines."""
    head = [f"{method} {target} HTTP/{version}", "Host: example", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


async def start(send: Send, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send ``http.response.start``."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def respond(
    send: Send, body: bytes = b"", status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole response."""
    await start(send, status, headers)
    await send({"type": "http.response.body", "body": body})


async def content_of(receive: Receive) -> bytes:
    """Read the whole request content; fails when the client goes before its end."""
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


class Probe:
    """An application that calls ``handler`` and remembers scopes and ends."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.scopes: list[Scope] = []
        self._ends: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only http here")
        self.scopes.append(scope)
        error: BaseException | None = None
        try:
            await self._handler(scope, receive, send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._ends.put_nowait(error)

    async def end(self) -> BaseException | None:
        """Wait for the end of the next call that ends; what it raised, or ``None``."""
        return await within(self._ends.get())


async def raised_by(send: Send, message: Any) -> BaseException | None:
    """Send ``message`` and return what ``send`` raised."""
    try:
        await send(message)
    except Exception as error:  # noqa: BLE001 - the test judges it
        return error
    return None


def text(message: Message) -> str:
    """The type of a message, for short asserts."""
    return str(message["type"])
