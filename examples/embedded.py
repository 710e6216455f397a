"""``serve()`` in a program of one's own, beside another asyncio task.

The program counts; the server tells how far it is. CTRL+C ends both::

    python examples/embedded.py 8000
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from katana_asgi import serve

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Receive, Scope, Send


class Counter:
    """Counts in one task and is an ASGI application to all who ask."""

    def __init__(self) -> None:
        self.value = 0

    async def count(self) -> None:
        """The program's own work."""
        while True:
            self.value += 1
            await asyncio.sleep(0.1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the present value."""
        body = b"%d\n" % self.value
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def main(port: int) -> None:
    """Count until the server has stopped, which it does on SIGINT and SIGTERM."""
    counter = Counter()
    counting = asyncio.create_task(counter.count())
    try:
        await serve(counter, port=port, lifespan="off")
    finally:
        counting.cancel()
    print(f"stopped at {counter.value}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
