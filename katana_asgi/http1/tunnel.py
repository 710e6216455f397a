"""A connection after 101: nothing but bytes (RFC 9110 §7.8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from katana_asgi.net.clock import NEVER
from katana_asgi.net.parts import parts_writer
from katana_asgi.net.reset import end_writing, reset
from katana_asgi.net.stall import WriteStall, unsent
from katana_asgi.net.tls_reading import BufferedReads

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import TunnelEnd

__all__ = ["TransportStream", "open_tunnel"]


class TransportStream(asyncio.Protocol):
    """The ``ByteStream`` over a transport that a connection has handed over.

    ``timeout_write`` is how long a peer may take nothing, in seconds; 0 is no limit.
    """

    __slots__ = (
        "_context",
        "_end",
        "_stall",
        "_timeout_write",
        "_transport",
        "_writable",
        "data_received",
        "deadline",
        "idle_since",
        "pause_reading",
        "resume_reading",
        "write",
        "write_paused",
        "writelines",
    )

    answered_since: float | None = None  # what ends it has a deadline of its own

    def __init__(
        self,
        context: WorkerContext,
        transport: asyncio.Transport,
        end: TunnelEnd,
        timeout_write: float,
    ) -> None:
        self._context = context
        self._transport = transport
        self._end = end
        self._timeout_write = timeout_write
        self._stall: WriteStall | None = None
        self._writable: asyncio.Event | None = None
        self.write_paused = False
        self.deadline = NEVER
        self.idle_since: float | None = None  # it never waits for a request
        # Passed on unchanged, for every message: bound, not wrapped.
        self.write = transport.write
        self.writelines: Any = parts_writer(transport)
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.data_received: Any = end.bytes_received
        context.clock.watched.add(self)

    def end_writing(self) -> None:
        """Send what is buffered, then the end; go on reading where the transport can."""
        if self._transport.can_write_eof():
            end_writing(self._transport)
        else:
            self.close()

    def close(self) -> None:
        """Send what is buffered, then end the connection."""
        if not self._transport.is_closing():  # asyncio's over TLS cannot close twice
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

    def wind_down(self, grace: float) -> None:
        """The worker drains; an upgraded connection is never idle."""
        self._end.shutdown()

    def eof_received(self) -> bool:
        """The peer sends no more; the other side decides what becomes of the rest."""
        self._end.stream_ended()
        return self._transport.can_write_eof()  # over TLS the end is the end of both sides

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._context.clock.stalled.discard(self)
        self._context.connection_closed(self)
        if self._writable is not None:
            self._writable.set()
        self._end.stream_lost()

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water: watch whether the peer reads on."""
        self.write_paused = True
        self._writable = asyncio.Event()
        self._context.clock.stalled.add(self)

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water again."""
        self.write_paused = False
        self._context.clock.stalled.discard(self)
        self._stall = None
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        self._end.stream_writable()

    def check_writing(self) -> None:
        """Reset a peer that has stopped reading while more waits to be sent than should."""
        waiting = unsent(self._transport)
        if self._stall is None:
            self._stall = WriteStall(waiting)
            return
        seconds = self._stall.look(waiting, self._context.clock.elapsed)
        if self._timeout_write and seconds >= self._timeout_write:
            reset(self._transport)


def open_tunnel(
    context: WorkerContext,
    transport: asyncio.Transport,
    end: TunnelEnd,
    timeout_write: float,
    *,
    tls: bool,
) -> TransportStream:
    """Have what comes over ``transport`` go to ``end`` from now on."""
    stream = TransportStream(context, transport, end, timeout_write)
    transport.set_protocol(BufferedReads(stream) if tls else stream)
    return stream
