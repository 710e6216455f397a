"""A bare ASGI application that echoes WebSocket messages, as text and as binary."""

from __future__ import annotations

from benchmarks.apps.plain import Receive, Send
from benchmarks.apps.plain import app as answer_http

__all__ = ["app"]


async def app(scope: dict[str, object], receive: Receive, send: Send) -> None:
    """Accept whoever comes and send every message back."""
    if scope["type"] != "websocket":
        await answer_http(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
