"""How an HTTP/1.1 connection reads, and what it does not put up with (RFC 9112 §9.5).

What does not depend on the request at hand: pausing and resuming, deadlines, refusing. How it
ends is in ``ending.py``; ``connection.py`` draws the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.asgi.exchange import HIGH_WATER, STREAMING
from katana_asgi.asgi.request_ids import own_fields
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http1.encoder import refusal
from katana_asgi.http1.ending import (
    BUSY,
    CLOSED,
    DRAINING,
    LINGERING,
    READY,
    RECEIVING,
    Http1Ending,
)
from katana_asgi.http1.pace import BodyPace
from katana_asgi.http1.tunnel import Http1Tunnel
from katana_asgi.net.clock import NEVER
from katana_asgi.net.tls_reading import BufferedReads

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["RETRY_LATER", "Http1Lifecycle"]

RETRY_LATER: Final = ((b"retry-after", b"1"),)


class Http1Lifecycle(Http1Ending):
    """Reading and refusing; the requests themselves are the subclass's."""

    __slots__ = ("_pace",)

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool,
        scheme: str,
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._state = READY
        self._eof = False
        self._reading = True
        self._unread = 0
        self._stall = None
        self.deadline = NEVER
        self._received = 0  # content bytes of the present request
        self._pace: BodyPace | None = None  # of its content, once somebody has looked

    def _admit(self, full: bool) -> None:
        """Turn the peer away where there are too many connections, in all or of its own."""
        context = self._context
        admission = context.admission
        client = self.client
        excess = 0
        if admission.counts_clients and client is not None:
            excess = admission.enters(self, client[0])
        if excess <= 0 and not full:
            return
        if excess <= admission.most_per_client and admission.turns_away(self):
            self._refuse(RemoteProtocolError("too many connections", 503, RETRY_LATER))
        else:
            self.abort()  # too many even to be told

    # -- reading -------------------------------------------------------------------------------

    def _throttle(self) -> None:
        """Pause reading while the application, or the peer behind its responses, lags behind."""
        exchange = self._exchange
        if exchange is None:
            # Nobody else waits for the peer to read; its next requests do, unread.
            behind = self.write_paused
        else:
            behind = exchange.buffered + len(self._parser.holds) > HIGH_WATER
        if not behind:
            self._resume_reading()
        elif self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; what it asked for it still gets (RFC 9112 §9.6).

        But not over TLS, where the transports take the end of one side for that of both.
        """
        exchange = self._exchange
        if (
            exchange is None
            or not exchange.content_complete
            or not self._transport.can_write_eof()
            or not exchange.half_close()
        ):
            self._close()
            return False
        self._eof = True
        return True

    # -- the exchange's side -------------------------------------------------------------------

    def content_taken(self) -> None:
        """The application took what was buffered: read on."""
        if not self._reading:
            self._throttle()

    def fail(self, status: int) -> None:
        """The application failed: answer for it, or break off what it began."""
        if self._exchange is not None:
            self._exchange.task = None  # it ends by itself
            self._refuse(RemoteProtocolError("Internal Server Error", status, own_fields()))

    # -- writing -------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water: watch whether the peer reads on."""
        super().pause_writing()
        self._context.clock.stalled.add(self)
        if self._exchange is None and self._state <= RECEIVING:
            self._throttle()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water: go on with what had to wait."""
        super().resume_writing()
        if self._state == CLOSED:
            return  # the rest has to be taken in time, too
        self._context.clock.stalled.discard(self)
        self._stall = None
        if self._exchange is None and self._state <= RECEIVING:
            if self._state == RECEIVING:
                self.deadline = self._context.clock.after(self._settings.timeout_header)
            else:
                self._ready()
            self._throttle()

    def _ready(self) -> None:
        """Wait for the next request, or take it from what was held."""
        raise NotImplementedError

    # -- the clock and the worker --------------------------------------------------------------

    def deadline_passed(self) -> None:
        """Close what is idle too long, answer 408 to half a request, end a lingering close."""
        state = self._state
        if state <= RECEIVING and self.write_paused:
            return  # it has to take its answers first: see ``look_at_writing``
        if state == RECEIVING:
            self._refuse(RemoteProtocolError("request header timeout", 408))
        elif state == BUSY:
            self._look_at_body()
        elif state == LINGERING:
            self._stop_lingering()
        elif state == READY and not self._context.grace:
            self._end_idle()
        else:
            self._linger()  # what comes now is not answered with a reset

    def _look_at_body(self) -> None:
        """Refuse a body that comes too slowly; what the application delays is not the peer's."""
        exchange = self._exchange
        if exchange is None or exchange.content_complete:
            self.deadline = NEVER
            if exchange is not None:
                exchange.overdue()
        elif self._reading and not exchange.continue_due:
            pace = self._pace
            if pace is None:
                self._pace = BodyPace(self._received)
                return
            pace.look(self._received, self._context.clock.elapsed)
            settings = self._settings
            if pace.too_slow(settings.timeout_body, settings.limit_body_rate):
                self._refuse(RemoteProtocolError("request body timeout", 408))

    def _abandon(self, exchange: Exchange, *, aborted: bool) -> None:
        """Nobody is there any more for whom an exchange could be of use."""
        if self._context.access is not None:
            self._log_lost(exchange, aborted=aborted)
        self._take_away(exchange)

    def _take_away(self, exchange: Exchange) -> None:
        """Tell the application that the peer has gone; cancel in time what does not listen."""
        self._exchange = None
        exchange.disconnect()
        if exchange.state == STREAMING and exchange.task is not None:
            # A stream nobody reads: Starlette no longer watches for this at spec 2.4.
            self._context.loop.call_later(self._context.timeout_disconnect, exchange.task.cancel)

    def upgrade(self, response: bytes, end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Send a 101 and hand the transport over; returns the stream and what came after."""
        self.flush()
        self._exchange = None
        self._state = CLOSED
        context = self._context
        context.clock.watched.discard(self)
        self._resume_reading()
        tunnel = Http1Tunnel(context, self._transport, end, self._settings.timeout_write)
        context.admission.passes_on(self, tunnel)
        self._transport.set_protocol(tunnel if self._scheme == "http" else BufferedReads(tunnel))
        if self.write_paused:
            context.clock.stalled.discard(self)
            tunnel.pause_writing()
        self._write(response)
        held, self._parser.holds = self._parser.holds, b""
        self._parser.close()
        if self._eof:
            context.loop.call_soon(tunnel.eof_received)
        return tunnel, held

    # -- refusing ------------------------------------------------------------------------------

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer an error for the whole connection, then let go of it."""
        if self._state >= DRAINING:
            if self._state == DRAINING:
                self._linger()  # the request has been answered: no second answer
            return
        exchange = self._exchange
        if exchange is not None:
            self._take_away(exchange)
            if exchange.on_the_wire:
                if self._context.access is not None:
                    reason = f": {error.reason}" if error.status != 500 else ""
                    self._log_incomplete(exchange, exchange.status, f"broken off{reason}")
                self._break_off()
                return
        head = self._head if self._state == BUSY else None
        without_content = error.without_content or (head is not None and head.method == "HEAD")
        self._flush_batch()
        response = refusal(error, self._own_fields(), head=without_content)
        self._write(response)
        if self._context.access is not None:
            self._log_refusal(exchange, head, error, response)
        self._linger()

    def _own_fields(self) -> bytes:
        """The field lines of an answer of the server's own."""
        return self._context.clock.fields
