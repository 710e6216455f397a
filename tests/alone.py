"""One worker and its connections without a kernel, with the connection beside its transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi.testing import MemoryServer, MemoryTransport, turns

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext

__all__ = ["Alone", "turns"]


class Alone(MemoryServer):
    """A ``MemoryServer`` without lifespan, of which a test sees the inside."""

    def __init__(self, application: Any, **settings: Any) -> None:
        super().__init__(application, **{"lifespan": "off", **settings})

    @property
    def context(self) -> WorkerContext:
        """What all connections share."""
        context = self.server.context
        assert context is not None
        return context

    def connected(self, **options: Any) -> tuple[Any, MemoryTransport]:
        """A new connection and its transport; ``options`` are the transport's."""
        transport = self.connect(**options)
        return transport.protocol, transport
