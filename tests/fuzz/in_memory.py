"""A connection served in memory: bytes in, bytes out, and what the application saw.

One worker for each back end lives as long as the process.
"""

from __future__ import annotations

import asyncio
import atexit
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from katana_asgi import StaticRoute, codec
from katana_asgi.testing import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BACK_ENDS", "Served", "serve", "served_alike"]

REFUSAL = re.compile(rb"HTTP/1\.1 [45][0-9]{2} ")

BACK_ENDS = ("native", "httptools", "h11") if codec.NATIVE else ("httptools", "h11")
"""Those that are there."""

SETTINGS: dict[str, Any] = {
    "date_header": False,
    "lifespan": "off",
    "http2": "off",
    "server_header": False,
    "limit_request_line": 200,
    "limit_header_size": 400,
    "limit_header_count": 8,
    "limit_body_size": 300,
    "static_route": (StaticRoute(path="/static", body="cached"),),
}

TURNS = 6
"""Of the loop without a sign of life: as many as one request here takes at most."""


@dataclass
class Served:
    """What became of a stream of bytes."""

    sent: bytes = b""  # without 100 (Continue), which depends on what has arrived when
    closed: bool = False
    seen: list[dict[str, Any]] = field(default_factory=list)  # whole requests only


def served_alike(reads: list[bytes]) -> list[Served]:
    """Serve the reads over every back end; fails where what became of them differs.

    Back ends may give other reasons for the same refusal; that is all that may differ.
    """
    all_served = [serve(back_end, reads) for back_end in BACK_ENDS]
    first, *others = map(_without_reason, all_served)
    assert all(other == first for other in others), all_served
    return all_served


def _without_reason(served: Served) -> Served:
    refusal = REFUSAL.search(served.sent)
    sent = served.sent[: refusal.end()] if refusal else served.sent
    return Served(sent, served.closed, served.seen)


class _Worker(MemoryServer):
    """The worker of one back end, and where its application writes what it sees."""

    def __init__(self, back_end: str) -> None:
        super().__init__(self.application, http=back_end, **SETTINGS)
        self.seen: list[dict[str, Any]] = []

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Read everything, note it, answer with it; ``/later`` after a turn of the loop."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        if scope["path"] == "/later":
            await asyncio.sleep(0)
        noted = ("method", "path", "raw_path", "query_string", "http_version", "headers")
        self.seen.append({name: scope[name] for name in noted} | {"body": body})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<" + body + b">"})


async def _started() -> dict[str, _Worker]:
    workers = {name: _Worker(name) for name in BACK_ENDS}
    for worker in workers.values():
        await worker.start()
    return workers


_LOOP = asyncio.new_event_loop()
_WORKERS = _LOOP.run_until_complete(_started())
atexit.register(_LOOP.close)


def serve(back_end: str, reads: Iterable[bytes]) -> Served:
    """Serve the reads of one connection, whose peer then sends no more."""
    return _LOOP.run_until_complete(_serve(_WORKERS[back_end], reads))


async def _serve(worker: _Worker, reads: Iterable[bytes]) -> Served:
    worker.seen = []
    transport = worker.connect()
    for read in reads:
        if transport.closing or transport.ended:
            break
        _LOOP.call_soon(transport.feed, read)
        await transport.settled(TURNS)
    closed = transport.closing or transport.ended
    transport.end()
    await transport.settled(TURNS)
    closed = closed or transport.closing
    served = Served(bytes(transport.sent), closed, worker.seen)
    transport.close()
    await transport.settled(TURNS)
    context = worker.server.context
    assert context is not None
    assert not context.clock.watched
    assert not context.running
    served.sent = served.sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return served
