"""An HTTP/1.1 connection after 101: nothing but bytes (RFC 9110 §7.8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katana_asgi.net.clock import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import TunnelEnd

__all__ = ["Http1Tunnel"]


class Http1Tunnel(asyncio.Protocol):
    """The ``ByteStream`` over a transport that a connection has handed over."""

    __slots__ = (
        "_context",
        "_end",
        "_transport",
        "_writable",
        "deadline",
        "pause_reading",
        "resume_reading",
        "write",
        "write_paused",
    )

    def __init__(
        self, context: WorkerContext, transport: asyncio.Transport, end: TunnelEnd
    ) -> None:
        self._context = context
        self._transport = transport
        self._end = end
        self._writable: asyncio.Event | None = None
        self.write_paused = False
        self.deadline = NEVER
        # Passed on unchanged, for every message: bound, not wrapped.
        self.write = transport.write
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        context.clock.watched.add(self)

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send several pieces at once."""
        self._transport.writelines(parts)

    def close(self) -> None:
        """Send what is buffered, then end the connection."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    async def drain(self) -> None:
        """Wait until the peer takes data again, or has gone."""
        if self._writable is not None:
            await self._writable.wait()

    def deadline_passed(self) -> None:
        """The clock's word, passed on."""
        self._end.deadline_passed()

    def shutdown(self) -> None:
        """The worker drains."""
        self._end.shutdown()

    def data_received(self, data: bytes) -> None:
        """The next bytes from the peer."""
        self._end.bytes_received(data)

    def eof_received(self) -> bool:
        """The peer sends no more; the other side decides what becomes of the rest."""
        self._end.stream_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._context.connection_closed(self)
        if self._writable is not None:
            self._writable.set()
        self._end.stream_lost()

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water."""
        self.write_paused = True
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water again."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None
