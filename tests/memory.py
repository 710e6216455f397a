"""Connections without a kernel: a worker whose peers are objects, and transports that misbehave.

The connection, the exchange, the clock and the loop are the real ones. A peer may take its bytes
slowly, end its side, vanish, or make the n-th write fail.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

from katana_asgi import Server
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.states import CLOSED
from katana_asgi.net.peer import Peer
from katana_asgi.worker.switchboard import Switchboard, Upgrades

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.asgi.context import WorkerContext

__all__ = ["InMemory", "MemoryTransport", "turns"]


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


class MemoryTransport(asyncio.Transport):
    """A transport whose peer is the test.

    ``takes``: whether the peer takes at once what is sent; else call ``take``. ``fails_at`` is
    the number of the write that fails. ``half_closes``: both sides end on their own, as over
    TCP; not so over TLS.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        takes: bool = True,
        fails_at: int = 0,
        half_closes: bool = True,
        high_water: int = 64 * 1024,
    ) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self._loop = loop
        self._protocol: asyncio.BaseProtocol | None = None
        self._takes = takes
        self._fails_at = fails_at
        self._half_closes = half_closes
        self._high_water = high_water
        self._waiting = 0
        self._paused = False
        self._lost = False
        self.writes = 0
        self.sent = bytearray()  # all that was written
        self.closing = False
        self.aborted = False
        self.ended = False  # our side, by ``write_eof``
        self.reading = True

    # -- asyncio.Transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def write(self, data: Any) -> None:
        assert not self.ended, "written behind the end"
        if self.closing:
            return
        self.writes += 1
        if self.writes == self._fails_at:
            self.fail()
            return
        self.sent += data
        if self._takes:
            return
        self._waiting += len(data)
        if self._waiting > self._high_water and not self._paused:
            self._paused = True
            self.get_protocol().pause_writing()  # type: ignore[attr-defined]

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        assert self._half_closes
        self.ended = True

    def can_write_eof(self) -> bool:
        return self._half_closes

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.reading = False
        if not self._waiting:
            self._lose(None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self.reading = False
        self._waiting = 0
        self._lose(None)

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    # -- the peer

    def take(self, size: int = 2**40) -> None:
        """Take up to ``size`` bytes of what waits."""
        self._waiting = max(0, self._waiting - size)
        if self.closing:
            if not self._waiting:
                self._lose(None)
        elif self._paused and self._waiting <= self._high_water // 4:
            self._paused = False
            self.get_protocol().resume_writing()  # type: ignore[attr-defined]

    def feed(self, data: bytes) -> None:
        """Send bytes; only while they are read."""
        assert self.reading
        self.get_protocol().data_received(data)  # type: ignore[attr-defined]

    def end(self) -> None:
        """End the peer's side."""
        if not self.closing and not self.get_protocol().eof_received():  # type: ignore[attr-defined]
            self.close()

    def fail(self) -> None:
        """Vanish."""
        self.closing = True
        self.reading = False
        self._waiting = 0
        self._lose(ConnectionResetError())

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self.get_protocol().connection_lost, error)


class InMemory:
    """A worker that serves ``application``; its one listener is not connected to."""

    def __init__(self, application: Any, **settings: Any) -> None:
        settings = {"port": 0, "access_log": False, "lifespan": "off", **settings}
        self.server = Server(application, **settings)

    async def __aenter__(self) -> Self:
        await self.server.start()
        config, context = self.server.config, self.context
        self._switchboard = Switchboard(
            config, context, Upgrades(config, context), meter=self.server.metrics
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.stop(force=True)
        await self.server.close()

    @property
    def context(self) -> WorkerContext:
        """What all connections share."""
        context = self.server.context
        assert context is not None
        return context

    def connect(self, **options: Any) -> tuple[Http1Connection, MemoryTransport]:
        """A new connection and its transport; ``options`` are the transport's."""
        connection = cast("Http1Connection", self._switchboard.connection(Peer(False, "http")))
        transport = MemoryTransport(self.context.loop, **options)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection, transport

    async def served(self, *reads: bytes, **options: Any) -> bytes:
        """What a client gets that sends these reads, each when the one before has its answer.

        Ends the client's side at the end. Without 100 (Continue), which depends on what has
        arrived when.
        """
        connection, transport = self.connect(**options)
        for read in reads:
            if connection.state == CLOSED or not transport.reading:
                break
            transport.feed(read)
            await self.quiet(transport)
        transport.end()
        await self.quiet(transport)
        transport.close()
        await turns(2)
        return bytes(transport.sent).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")

    async def quiet(self, transport: MemoryTransport, count: int = 6) -> None:
        """Let the loop turn until nothing more is sent for some turns."""
        before = -1
        while (now := len(transport.sent)) != before:
            before = now
            await turns(count)
