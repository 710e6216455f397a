"""Static routes: answers from cached bytes, before any scope or task exists.

From code::

    python examples/static_routes.py 8000

The same from the settings file beside this one::

    katana-asgi --config examples/katana.toml
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from katana_asgi import StaticRoute, run

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Receive, Scope, Send

ROUTES = [
    StaticRoute("/healthz", "ok\n", exclusive=True),
    StaticRoute(
        "/hello/{name}", "<p>Hello, {name}!</p>\n", content_type="text/html; charset=utf-8"
    ),
    StaticRoute("/old", status=308, headers=(("Location", "/new"),)),
    StaticRoute(
        "/robots.txt",
        "User-agent: *\nDisallow:\n",
        headers=(("Cache-Control", "max-age=86400"), ("ETag", '"v1"')),
    ),
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Gets all requests that no static route answers."""
    body = b"the application answers " + scope["path"].encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    run(app, port=port, lifespan="off", static_route=ROUTES)
