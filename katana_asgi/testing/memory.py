"""A server that listens nowhere: its connections are fed by the test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from katana_asgi.testing.fake_time import FakeTimeLoop
from katana_asgi.testing.transport import MemoryTransport
from katana_asgi.worker.server import Server

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.net.proxy_header import ConnectionFactory

__all__ = ["MemoryServer"]


class MemoryServer:
    """Serves ``app`` to peers in memory, in the running event loop; ``settings`` are ``Config``'s::

        async with MemoryServer(app) as server:
            transport = server.connect(fails_at=2)
            transport.feed(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            assert (await transport.settled()).startswith(b"HTTP/1.1 200 OK\\r\\n")

    Connections, requests, timers and lifespan are those of any server; only the sockets are not.
    """

    def __init__(self, app: ASGIApplication | str, **settings: Any) -> None:
        self.server: Server = Server(app, **{"access_log": False, **settings})
        """The server; ``stop`` and its state are as always."""
        self._factory: ConnectionFactory | None = None

    async def start(self) -> None:
        """Run lifespan startup, then serve; raises what ``Server.start`` raises."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, FakeTimeLoop):
            self.server.time_of_day = loop.time_of_day
        await self.server.start([])
        switchboard, context = self.server.switchboard, self.server.context
        assert switchboard is not None and context is not None  # noqa: S101, PT018 - it has started
        self._factory = switchboard.factory(False, context.scheme)

    async def close(self) -> None:
        """End what is open at once, and run lifespan shutdown."""
        self.server.stop(force=True)
        await self.server.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def connect(self, transport: MemoryTransport | None = None, **options: Any) -> MemoryTransport:
        """Connect a peer; ``options`` are those of its ``MemoryTransport``, unless it is given.

        ``RuntimeError`` where the server has not started.
        """
        if self._factory is None:
            raise RuntimeError("the server has not started")
        transport = transport or MemoryTransport(**options)
        transport.attach(self._factory())
        return transport

    async def served(self, *reads: bytes, **options: Any) -> bytes:
        """What a client gets that sends ``reads``, each once nothing more comes for the last one.

        It ends its side behind them. 100 (Continue) is left out: whether it is sent depends on
        what has arrived when.
        """
        transport = self.connect(**options)
        for read in reads:
            if transport.reading and not transport.ended:
                transport.feed(read)
                await transport.settled()
        transport.end()
        sent = await transport.settled()
        transport.abort()
        return sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
