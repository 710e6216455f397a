"""The application behind the wire corpus: it records what it saw, by connection.

It reads the whole content and answers with the path. ``/unread`` answers without reading;
``/later`` lets other work of the loop go first, so that answers could overtake each other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Recorder", "Request"]


class Request:
    """One call of the application: its scope, the content so far, whether all of it came."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.body = b""
        self.complete = False


class Recorder:
    """An ASGI application; ``taken(port)`` hands over the requests of one client port."""

    def __init__(self) -> None:
        self._requests: defaultdict[int, list[Request]] = defaultdict(list)

    def taken(self, port: int) -> list[Request]:
        """The requests of the connection from this port, in order; they are forgotten here."""
        return self._requests.pop(port, [])

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve one http scope; any other scope is refused, as ASGI asks."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        request = Request(scope)
        self._requests[scope["client"][1]].append(request)
        if scope["path"].startswith("/unread"):
            request.complete = True
        elif not await _read(request, receive):
            return
        if scope["path"].startswith("/later"):
            for _ in range(20):
                await asyncio.sleep(0)
        await _answer(request, send)


async def _read(request: Request, receive: Callable[[], Awaitable[dict[str, Any]]]) -> bool:
    while not request.complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        request.body += message.get("body", b"")
        request.complete = not message.get("more_body", False)
    return True


async def _answer(request: Request, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    content = request.scope["path"].encode("utf-8")
    fields = [
        (b"content-length", b"%d" % len(content)),
        (b"x-method", request.scope["method"].encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})
