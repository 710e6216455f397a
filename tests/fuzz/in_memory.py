"""A connection served in memory: bytes in, bytes out, and what the application saw.

The connection, the exchange and the loop are the real ones; only the kernel is missing. One
set-up for each parser back end lives as long as the process, so that memos are warm.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from katana_asgi import Server, StaticRoute
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.settings import Http1Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BACK_ENDS", "Served", "serve", "served_alike"]

REFUSAL = re.compile(rb"HTTP/1\.1 [45][0-9]{2} ")

BACK_ENDS = {
    "httptools with a memo": {"http": "httptools"},
    "httptools": {"http": "httptools", "memo": False},
    "h11": {"http": "h11"},
}

SETTINGS: dict[str, Any] = {
    "date_header": False,
    "server_header": False,
    "access_log": False,
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


class MemoryTransport(asyncio.Transport):
    """A transport whose peer takes everything at once."""

    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self._protocol = protocol
        self._loop = loop
        self.sent = bytearray()
        self.closing = False
        self.reading = True

    def write(self, data: Any) -> None:
        if not self.closing:
            self.sent += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing follows; the peer closes for its part."""
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class _Setup:
    """The context of one back end, and where its application writes what it sees."""

    def __init__(self, back_end: str, loop: asyncio.AbstractEventLoop) -> None:
        server = Server(self.application, **SETTINGS, **BACK_ENDS[back_end])
        self.context = server._make_context(self.application, loop)
        self.settings = Http1Settings(server.config)
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


_LOOP = asyncio.new_event_loop()
_SETUPS = {back_end: _Setup(back_end, _LOOP) for back_end in BACK_ENDS}


def serve(back_end: str, reads: Iterable[bytes]) -> Served:
    """Serve the reads of one connection, whose peer then sends no more."""
    return _LOOP.run_until_complete(_serve(_SETUPS[back_end], reads))


async def _serve(setup: _Setup, reads: Iterable[bytes]) -> Served:
    setup.seen = []
    connection = Http1Connection(setup.context, setup.settings)
    transport = MemoryTransport(connection, _LOOP)
    connection.connection_made(transport)
    for read in reads:
        if transport.closing:
            break
        _LOOP.call_soon(connection.data_received, read)
        await _settle(setup, transport)
    if not transport.closing:
        _LOOP.call_soon(_end, connection, transport)
        await _settle(setup, transport)
    served = Served(bytes(transport.sent), transport.closing, setup.seen)
    transport.close()
    await _settle(setup, transport)
    assert not setup.context.clock.watched
    assert not setup.context.running
    served.sent = served.sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return served


def _end(connection: Http1Connection, transport: MemoryTransport) -> None:
    if not transport.closing and not connection.eof_received():
        transport.close()


async def _settle(setup: _Setup, transport: MemoryTransport) -> None:
    """Let the loop turn until nothing more happens; pipelined requests take a turn each."""
    before = None
    while (now := (len(setup.seen), len(transport.sent))) != before:
        before = now
        for _ in range(TURNS):
            await asyncio.sleep(0)
