"""A bare ASGI application: a greeting for any path, an echo, a sink and large downloads.

It does as little as it can, so that what is measured is the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

GREETING = b"Hello, World!"
LARGE = b"0123456789abcdef" * 65536
"""One MiB, the content of ``GET /large``."""
STREAMED = 100
"""MiB of ``GET /stream``."""

GREETING_FIELDS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
LARGE_FIELDS = [
    (b"content-type", b"application/octet-stream"),
    (b"content-length", str(len(LARGE)).encode()),
]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path; a path that is not listed gets the greeting."""
    if scope["type"] != "http":
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        return
    answer = OTHERS.get(scope["path"])
    if answer is not None:
        await answer(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": GREETING_FIELDS})
    await send({"type": "http.response.body", "body": GREETING})


async def echo(receive: Receive, send: Send) -> None:
    """Send the content of the request back, once all of it has arrived."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    content = b"".join(parts)
    fields = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def sink(receive: Receive, send: Send) -> None:
    """Read the content of the request and answer how long it was."""
    content = str(await read_length(receive)).encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def orders(receive: Receive, send: Send) -> None:
    """Read the content of the request and answer how long it was, as JSON."""
    length = await read_length(receive)
    content = b'{"received":%d}' % length
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def read_length(receive: Receive) -> int:
    """Return how many bytes the content of the request has."""
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body", False):
            return length


async def large(receive: Receive, send: Send) -> None:
    """Send one MiB in one message."""
    await send({"type": "http.response.start", "status": 200, "headers": LARGE_FIELDS})
    await send({"type": "http.response.body", "body": LARGE})


async def stream(receive: Receive, send: Send) -> None:
    """Send 100 MiB in pieces of 64 KiB."""
    length = STREAMED * len(LARGE)
    fields = [LARGE_FIELDS[0], (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    piece = LARGE[: 64 * 1024]
    for left in range(length - len(piece), -1, -len(piece)):
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def lifespan(receive: Receive, send: Send) -> None:
    """Complete startup and shutdown at once."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


OTHERS: dict[str, Callable[[Receive, Send], Awaitable[None]]] = {
    "/echo": echo,
    "/sink": sink,
    "/orders": orders,
    "/large": large,
    "/stream": stream,
}
