"""The sample application that ``make run`` serves: a page, a JSON document and an event stream.

Bare ASGI, so that it needs no framework::

    katana-asgi examples.welcome:app
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from katana_asgi import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from katana_asgi.asgi_types import Receive, Scope, Send

EVENTS: Final = 10
"""Events of one stream. A browser comes back for more, and a stopping server waits for less."""

TEXT: Final = "text/plain; charset=utf-8"

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>katana-asgi</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; }
  body { max-width: 38rem; margin: 4rem auto; padding: 0 1rem; }
  h1 { font-weight: 600; margin-bottom: 0; }
  code, output { font-family: ui-monospace, monospace; }
  dt { font-weight: 600; margin-top: 1rem; }
  dd { margin: 0; }
</style>
</head>
<body>
<h1>katana-asgi</h1>
<p>An asyncio-native ASGI server is running, and it served this page.
It calls a small application without a framework: <code>examples/welcome.py</code>.</p>
<dl>
  <dt><a href="/json">/json</a></dt>
  <dd>The request as the application saw it, and the versions that served it.</dd>
  <dt><a href="/events">/events</a></dt>
  <dd>Server-sent events, one each second. The last one: <output id="now">none yet</output></dd>
</dl>
<p>To serve your own application: <code>katana-asgi module:attribute</code>.
All settings: <code>katana-asgi --help</code>.</p>
<script>
  new EventSource("/events").onmessage = (event) => {
    document.getElementById("now").textContent = event.data;
  };
</script>
</body>
</html>
"""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Call the handler of the path."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] != "http":
        raise RuntimeError(f"no {scope['type']} here")
    elif scope["path"] not in HANDLERS:
        await respond(send, 404, TEXT, "There is nothing here.\n")
    elif scope["method"] not in ("GET", "HEAD"):
        await respond(send, 405, TEXT, "GET only.\n", (b"allow", b"GET, HEAD"))
    else:
        await HANDLERS[scope["path"]](scope, send)


async def lifespan(receive: Receive, send: Send) -> None:
    """Nothing to prepare and nothing to clean up."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def page(_scope: Scope, send: Send) -> None:
    """The page in a browser."""
    await respond(send, 200, "text/html; charset=utf-8", PAGE)


async def document(scope: Scope, send: Send) -> None:
    """The request and the server as JSON."""
    seen = {
        "server": f"katana-asgi {__version__}",
        "python": platform.python_version(),
        "process": os.getpid(),
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "http_version": scope["http_version"],
        "client": scope["client"],
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]
        ],
    }
    await respond(send, 200, "application/json", json.dumps(seen, indent=2) + "\n")


async def events(scope: Scope, send: Send) -> None:
    """The time, once a second. ``send`` raises ``OSError`` when the client has gone."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(EVENTS if scope["method"] == "GET" else 0):
        if number:
            await asyncio.sleep(1)
        now = datetime.now(UTC).strftime("%H:%M:%S UTC")
        event = f"id: {number}\nretry: 1000\ndata: {now}\n\n"
        await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def respond(
    send: Send, status: int, content_type: str, content: str, *further: tuple[bytes, bytes]
) -> None:
    """Send a whole response."""
    headers = [(b"content-type", content_type.encode()), *further]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content.encode()})


HANDLERS: Final[dict[str, Callable[[Scope, Send], Awaitable[None]]]] = {
    "/": page,
    "/json": document,
    "/events": events,
}
