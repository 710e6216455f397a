"""``Server`` in an anyio program: it starts, says where it listens, and stops when told.

The program decides when the server stops; here it is the tenth request::

    python examples/embedded_anyio.py 8000
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio

from katana_asgi import Server

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Receive, Scope, Send

LAST = 10


class Application:
    """Numbers its requests and sets ``enough`` at the last one."""

    def __init__(self) -> None:
        self.requests = 0
        self.enough = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the number of the request."""
        self.requests += 1
        body = b"request %d of %d\n" % (self.requests, LAST)
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if self.requests >= LAST:
            self.enough.set()


async def stop_when(event: anyio.Event, server: Server) -> None:
    """Ask the server to stop; it finishes what runs."""
    await event.wait()
    server.stop()


async def main(port: int) -> None:
    """Serve as one task of a task group."""
    application = Application()
    server = Server(application, port=port, lifespan="off")
    async with anyio.create_task_group() as group:
        group.start_soon(stop_when, application.enough, server)
        group.start_soon(server.serve)
        await server.wait_started()
        print(f"Listening on {server.places[0]}", file=sys.stderr)
    print(f"served {application.requests} requests")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
