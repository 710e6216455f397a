"""What a server holds that no client can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.http1.connection import Http1Connection

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.testing import Running

__all__ = ["connection_of", "context_of", "exchange_of", "unread", "unsent"]


def context_of(server: Running) -> WorkerContext:
    """What all connections of a server share."""
    context = server.server.context
    assert context is not None
    return context


def connection_of(server: Running) -> Http1Connection:
    """The only connection of a server."""
    (connection,) = context_of(server).clock.watched
    assert isinstance(connection, Http1Connection)
    return connection


def exchange_of(server: Running) -> Exchange | None:
    """The exchange that is under way on the only connection of a server."""
    return connection_of(server).exchange


def unsent(server: Running) -> int:
    """Bytes that the only connection of a server has sent and the kernel has not taken."""
    return connection_of(server).transport.get_write_buffer_size()


def unread(server: Running) -> int:
    """Bytes that the only connection of a server has read and the application has not taken."""
    exchange = exchange_of(server)
    return connection_of(server).reading.held + (0 if exchange is None else exchange.buffered)
