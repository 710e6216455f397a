"""A bare ASGI application: no framework, all three kinds of scope it can be called with.

::

    katana-asgi examples.bare:app
    curl -d hello http://127.0.0.1:8000/echo
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Call the handler for the kind of scope."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await http(scope, receive, send)
    else:
        await websocket(receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Runs for as long as the worker serves; what is put in ``state`` reaches every request."""
    await receive()
    scope["state"]["greeting"] = "hello from a bare application\n"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo what is posted, greet everybody else."""
    if scope["method"] == "POST":
        await echo(scope, receive, send)
    else:
        await respond(send, 200, scope["state"]["greeting"].encode())


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the request content back while it still arrives."""
    content_type = dict(scope["headers"]).get(b"content-type", b"application/octet-stream")
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", content_type)],
        }
    )
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def respond(send: Send, status: int, body: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def websocket(receive: Receive, send: Send) -> None:
    """Echo every message until the client goes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        reply = {key: message[key] for key in ("bytes", "text") if message.get(key) is not None}
        await send({"type": "websocket.send", **reply})
