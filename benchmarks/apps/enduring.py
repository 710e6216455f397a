"""The application of the endurance run: each answer follows from its request, and says who gave it.

``x-worker`` has the process id, so that a request that is lost can be laid to a killed worker.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from benchmarks.apps.plain import GREETING, LARGE, lifespan

__all__ = ["PIECES", "app", "cached_content", "pieces"]

PIECES = 10


def cached_content(query: bytes) -> bytes:
    """The content of ``/cached?QUERY``."""
    return (b"content of " + query + b"\n") * 20


def pieces(query: bytes) -> list[bytes]:
    """The content of ``/stream?QUERY``, as it is sent."""
    return [b"%d of %b\n" % (number, query) for number in range(PIECES)]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer by path."""
    worker = (b"x-worker", b"%d" % os.getpid())
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo_messages(receive, send, worker)
    elif scope["path"] == "/echo":
        await _answer(send, [worker], await _content(receive))
    elif scope["path"] == "/cached":
        fields = [worker, (b"cache-control", b"max-age=2")]
        await _answer(send, fields, cached_content(scope["query_string"]))
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [worker]})
        for piece in pieces(scope["query_string"]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body"})
    else:
        await _answer(send, [worker], LARGE if scope["path"] == "/large" else GREETING)


async def _answer(send: Any, fields: list[tuple[bytes, bytes]], content: bytes) -> None:
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": 200, "headers": [*fields, length]})
    await send({"type": "http.response.body", "body": content})


async def _content(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _echo_messages(receive: Any, send: Any, worker: tuple[bytes, bytes]) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [worker]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
