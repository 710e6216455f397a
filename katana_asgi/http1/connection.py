"""One HTTP/1.1 connection: read, parse, answer in order, keep or close (RFC 9112 §9).

At most one exchange is under way; what arrives behind it waits, unparsed, in the reading half. A
static route is answered here, before any scope or task exists. The connection owns its state
(``states.py`` has the transitions), its deadline and the order of requests; ``reading`` owns
what comes in, ``writing`` what goes out, ``peer`` knows who is on the other side.

How a connection ends. A response says ``connection: close`` where the client, the application,
a limit or the end of the worker wants it. A client that may still be sending is read on behind
the last response, so that no reset overtakes it (RFC 9112 §9.6): while it keeps sending content
that it has announced, for ``LINGER_LONG`` at most; anything else for ``LINGER``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from katana_asgi.asgi.dispatch import begin, end_call, open_exchange, refusal_for
from katana_asgi.asgi.exchange import HIGH_WATER, STREAMING, Exchange
from katana_asgi.balance.idle import Idle
from katana_asgi.codec import EXPECT_CONTINUE, KEEP_ALIVE, TRAILERS, UPGRADE
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.refusal import TOO_MANY_CONNECTIONS, Blame, Refusal, refusal_of
from katana_asgi.http1.reading import OtherProtocol, RequestReader
from katana_asgi.http1.states import BUSY, CLOSED, DRAINING, LINGERING, READY, RECEIVING
from katana_asgi.http1.tunnel import open_tunnel
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.net.clock import EVERY_TICK, NEVER
from katana_asgi.net.departure import has_ended, has_gone
from katana_asgi.net.peer import Peer
from katana_asgi.net.reset import end_writing, reset
from katana_asgi.net.stall import WriteStall, unsent

if TYPE_CHECKING:
    from katana_asgi.asgi.context import Routes, WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.routes.static import StaticResponse

__all__ = ["Http1Connection"]

LINGER: Final = 2.0
"""Seconds of silence a peer gets to read the last response and close; and to send a request on a
connection that was accepted when the worker had begun to end."""

LINGER_CONTENT: Final = 5.0
"""Seconds of silence within content that was announced and not read yet."""

LINGER_LONG: Final = 30.0
"""Seconds that all of it may take, as with nginx: against content without end."""

LINGER_BRIEF: Final = 0.5
"""Instead over TLS, where only the end of the connection tells that nothing more comes, and while
the worker ends."""

UNCONFIRMED: Final = 0.1
"""Seconds that the peer of a TLS connection has to confirm its end while the worker ends."""

AT_ONCE: Final = 16
"""Pipelined requests begun in one turn of the loop, so that one client cannot keep it busy."""

PROBE: Final = 0.25
"""Seconds between checks whether a half-closed peer has gone; between probes they double."""


class Http1Connection(asyncio.Protocol):
    """The asyncio protocol of one connection."""

    __slots__ = (
        "_context",
        "_eof",
        "_head",
        "_last",
        "_linger_end",
        "_meter",
        "_requests_left",
        "_routes",
        "_serving",
        "_settings",
        "_silence",
        "_since",
        "_stall",
        "_timer",
        "_used",
        "deadline",
        "exchange",
        "peer",
        "reading",
        "state",
        "transport",
        "writing",
    )

    transport: asyncio.Transport

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        peer: Peer | None = None,
    ) -> None:
        self._context = context
        self._settings = settings
        self.peer = peer or Peer(False, "http")
        self.reading = RequestReader(settings)
        self.writing = Http1Writer(self, context, settings.defaults)
        self.state = READY
        self.deadline = NEVER
        self.exchange: Exchange | None = None
        self._head: RequestHead | None = None  # of the present request; idle, it holds none
        self._used = False  # there has been a request
        self._routes = context.routes if settings.redirect is None else None
        # The last read that was one request for a static route, and what answered it.
        self._last: tuple[bytes, RequestHead, StaticResponse] | None = None
        self._requests_left = settings.limit_keep_alive_requests  # 0: no limit
        self._meter = settings.meter  # counts bytes, where metrics are on
        self._serving = False  # ``_serve`` is at work, and looks at the state when it comes back
        self._eof = False  # the peer sends no more
        self._linger_end = 0.0  # when lingering has to end, on the loop's clock
        self._silence = 0.0  # seconds without a byte after which lingering ends
        self._since = 0.0  # when anything came last while lingering, or was sent to a silent peer
        self._timer: asyncio.TimerHandle | None = None  # of lingering, or of a half-closed peer
        self._stall: WriteStall | None = None  # while more waits to be sent than should

    # -- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the first head has to come within the header timeout."""
        stream = self.transport = cast("asyncio.Transport", transport)
        self.peer.connected(stream)
        self.reading.connected(stream)
        self.writing.connected(stream)
        context = self._context
        clock = context.clock
        admission = context.admission
        full = len(clock.watched) >= admission.most and not admission.has_room()
        clock.watched.add(self)
        if context.draining:
            self.deadline = clock.after(max(LINGER, context.grace))
        else:
            self.deadline = clock.after(self._settings.timeout_header)
        if full or admission.counts_clients:
            self._admit(full)

    def _admit(self, full: bool) -> None:
        """Turn the peer away where there are too many connections, in all or of its own."""
        admitted = self._context.admission.admits(self, self.peer.client, full=full)
        if admitted is None:
            self.abort()
        elif not admitted:
            self.refuse(TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Bytes were read."""
        if self._meter is not None:
            self._meter.bytes_in += len(data)
        state = self.state
        last = self._last
        if last is not None and state == READY and data == last[0] and self._answer_again(*last):
            return
        reading = self.reading
        if state <= RECEIVING:
            reading.add(data)
            self._serve()
        elif state >= LINGERING:
            self._linger_received(data)
            return
        else:
            reading.add(data)
            if not reading.complete:
                self._take_content()
        exchange = self.exchange
        if exchange is not None and (reading.more or exchange.buffered):
            self._throttle()

    def eof_received(self) -> bool:
        """The peer sends no more; what it asked for it still gets (RFC 9112 §9.6).

        But not over TLS, where the transports take the end of one side for that of both.
        """
        exchange = self.exchange
        if not self._is_owed(exchange):
            if exchange is not None:
                self._abandon(exchange)
            self._close()
            return False
        self._eof = True
        if exchange is not None:
            self._watch_departure(exchange)
        return True

    def _is_owed(self, exchange: Exchange | None) -> bool:
        """Whether a peer that sends no more has asked for something that it has not got."""
        if not self.transport.can_write_eof():
            return False
        if exchange is None:
            return self.state == READY and self.reading.more  # about to begin
        return exchange.content_complete and exchange.half_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or the connection was closed."""
        aborted = self.state == CLOSED
        self.state = CLOSED
        self._set_timer(None)
        context = self._context
        context.clock.stalled.discard(self)
        context.connection_closed(self)
        self.writing.close()
        self.reading.close()
        exchange = self.exchange
        if exchange is not None:
            self._abandon(exchange, aborted=aborted)

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water: watch whether the peer reads on."""
        self.writing.pause()
        self._context.clock.stalled.add(self)
        if self.exchange is None and self.state <= RECEIVING:
            self._throttle()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water: go on with what had to wait."""
        self.writing.resume()
        if self.state == CLOSED:
            return  # the rest has to be taken in time, too
        self._context.clock.stalled.discard(self)
        self._stall = None
        if self.exchange is None and self.state <= RECEIVING:
            if self.state == RECEIVING:
                self.deadline = self._context.clock.after(self._settings.timeout_header)
            self._serve()
            self._throttle()

    # -- one request after the other -----------------------------------------------------------

    def _serve(self) -> None:
        """Answer what was read, in order, until it is used up or an exchange takes its time.

        The only place where requests begin. A response that is complete before this comes back
        sets the state, and the next round goes on from there.
        """
        if self._serving:
            return
        self._serving = True
        reading, writing = self.reading, self.writing
        routes = self._routes
        begun = 0
        try:
            while self.state <= RECEIVING and not writing.write_paused:
                head = reading.next_head()
                if head is None:
                    self._wait_for_head()
                    break
                if routes is None or not self._answer_static(routes, head):
                    self._begin(head)
                    begun += 1
                if not reading.more and not self._eof:
                    break
                if begun == AT_ONCE:
                    self._context.loop.call_soon(self._serve)
                    break
        except OtherProtocol as error:
            if not self._hand_over():
                self.refuse(refusal_of(error))
        except RemoteProtocolError as error:
            self.refuse(refusal_of(error), without_content=error.without_content)
        finally:
            self._serving = False
        if writing.batched:
            writing.flush_batch()

    def _wait_for_head(self) -> None:
        """There is no whole head."""
        if self._eof:
            self._close()
        elif self.reading.fresh:
            self.state = READY
        elif self.state == READY:
            self.state = RECEIVING
            self.deadline = self._context.clock.after(self._settings.timeout_header)

    def _answer_static(self, routes: Routes, head: RequestHead) -> bool:
        """Answer from a static route, where one matches."""
        route = routes.find(head)
        if route is None:
            return False
        framing = self.reading.framing
        simple = head.content_length == 0 and not framing & (EXPECT_CONTINUE | UPGRADE)
        response = route.respond(head, simple=simple)
        if response is None:
            return False
        context, writing = self._context, self.writing
        context.requests += 1
        self._used = True
        keep_alive = self._persists(framing) and simple  # what follows otherwise is not wanted
        if context.draining:
            response = response.while_draining()
            keep_alive = False
        alone = not self.reading.more
        writing.write_static(response, head, keep_alive=keep_alive, alone=alone)
        if context.observer is not None:
            context.observer.answered(self.peer, head, response)
        if keep_alive:
            self.state = READY
            self.deadline = context.clock.idle_deadline
            last = self.reading.last
            same = last is not None and last[1][0] is head and response.lasting
            self._last = (last[0], head, response) if last and same else None
        else:
            self._head = head
            self._finish()
        return True

    def _answer_again(self, data: bytes, head: RequestHead, response: StaticResponse) -> bool:
        """Answer the same read as before, as health checks and load balancers send it."""
        context = self._context
        if context.draining or self._requests_left or not self.reading.fresh:
            return False
        context.requests += 1
        writing = self.writing
        writing.write_static(response, head, keep_alive=writing.keep_alive, alone=True)
        if context.observer is not None:
            context.observer.answered(self.peer, head, response)
        self.deadline = context.clock.idle_deadline
        return True

    def _persists(self, framing: int) -> bool:
        """Whether another request may follow the one that has this framing; counts it."""
        left = self._requests_left
        if left:
            self._requests_left = left = left - 1
            if not left:
                self._requests_left = 1  # every further one is the last, too
                return False
        return framing & KEEP_ALIVE != 0

    def _begin(self, head: RequestHead) -> None:
        """Refuse a request, or call the application for it."""
        context, writing = self._context, self.writing
        framing = self.reading.framing
        context.requests += 1
        self._head = head
        self._used = True
        self.state = BUSY
        self.deadline = NEVER
        if writing.batched:
            writing.flush_batch()
        writing.open(head, self._persists(framing))
        redirect = self._settings.redirect
        if context.limited or redirect is not None:
            refusal = refusal_for(context, head) if redirect is None else redirect(head)
            if refusal is not None:
                self.refuse(refusal)
                return
        exchange: Exchange | None = None
        if framing & UPGRADE and self._settings.upgrade is not None:
            exchange = self._settings.upgrade(self, head)
        if exchange is None:
            trailers = framing & TRAILERS != 0
            exchange = open_exchange(context, writing, head, self.peer, trailers=trailers)
        self.exchange = exchange
        if head.content_length != 0:
            piece = self.reading.take_whole()
            if piece is not None:
                exchange.content_received(piece)
                exchange.content_complete = True
            else:
                self.deadline = EVERY_TICK
                exchange.continue_due = framing & EXPECT_CONTINUE != 0
                if self.reading.more:
                    self._take_content()
        if exchange.disconnected:
            return  # what came of its content was refused
        if self._eof:
            if not exchange.content_complete:
                self._abandon(exchange)  # the rest of its content will not come
                self._close()
                return
            exchange.half_close()
            self._watch_departure(exchange)
        begin(context, exchange)

    def _take_content(self) -> None:
        """Give content to the exchange, or drop it where the application did not want it."""
        reading = self.reading
        exchange = self.exchange
        try:
            piece = reading.read_content()
            if exchange is not None and piece:
                exchange.content_received(piece)
        except RemoteProtocolError as error:
            self.refuse(refusal_of(error))
            return
        if exchange is None:
            if reading.complete:
                self.state = READY
                self.deadline = self._context.clock.idle_deadline
                self._next_request()
        elif reading.complete:
            exchange.request_complete()
            self.deadline = NEVER

    def response_begun(self) -> None:
        """The head of a response that goes on is with the transport."""
        if self._context.observer is not None and self.exchange is not None:
            self._context.observer.first_byte(self.exchange)

    def response_complete(self) -> None:
        """The last byte of a response is with the transport."""
        exchange = self.exchange
        if exchange is None:
            return
        context = self._context
        if context.observer is not None:
            context.observer.done(exchange)
        if not self.writing.keep_alive:
            self.exchange = None
            self._finish()
        elif self.reading.complete:
            self.exchange = self._head = None
            self.state = READY
            self.deadline = context.clock.idle_deadline
            if not self._serving or self._timer is not None:
                self._next_request()
        elif exchange.continue_due:
            self.exchange = None
            self._finish()
        else:
            # The head has not said close: a proxy sends another client's request behind the
            # content, however much that is. So time bounds it, as it bounds lingering.
            self.exchange = None
            self.state = DRAINING
            self.deadline = context.clock.after(self._settings.timeout_header)
            self.reading.resume()

    def _next_request(self) -> None:
        """Wait for another request; one that is held already begins in a turn of its own."""
        if self._timer is not None:
            self._set_timer(None)
        if not self._serving:
            if not self.reading.fresh or self._eof:
                self._context.loop.call_soon(self._serve)
            if self.reading.paused:
                self._throttle()

    def must_close(self) -> bool:
        """Whether a response that is complete should say close: too much content is to come."""
        reading = self.reading
        if reading.complete:
            return False
        exchange = self.exchange
        if exchange is not None and exchange.continue_due:
            return True  # RFC 9110 §10.1.1: no one knows whether the content will come
        remaining = reading.remaining
        return remaining is not None and remaining > self._settings.limit_unread

    # -- reading -------------------------------------------------------------------------------

    def _throttle(self) -> None:
        """Pause reading while the application, or the peer behind its responses, lags behind."""
        exchange = self.exchange
        if exchange is None:
            # Its next requests wait, unread, for the peer to read.
            behind = self.writing.write_paused
        else:
            waiting = self.reading.held
            if not exchange.content_complete:
                waiting += exchange.buffered
            behind = waiting > HIGH_WATER
        if behind:
            self.reading.pause()
            if self.deadline == NEVER and exchange is not None:
                self.deadline = EVERY_TICK  # to notice that the peer has gone
        else:
            self.reading.resume()

    def content_taken(self) -> None:
        """The application took what was buffered: read on."""
        if self.reading.paused:
            self._throttle()

    # -- a peer that leaves --------------------------------------------------------------------

    def _watch_departure(self, exchange: Exchange) -> None:
        """From now on check whether a peer that sends no more still reads."""
        if self._timer is None:
            loop = self._context.loop
            self._since = loop.time()
            self._timer = loop.call_later(PROBE, self._check_departure, PROBE, exchange.sent)

    def _check_departure(self, wait: float, sent: int) -> None:
        """Find out whether a peer that sends no more has gone.

        A stream that is silent sends a byte from time to time that a peer which has gone answers
        with a reset; where its framing has no such byte, it may be silent for the write timeout.
        ``wait`` is the silence before the next byte, ``sent`` the content sent until the last call.
        """
        self._timer = None
        exchange = self.exchange
        if exchange is None or self.state != BUSY:
            return
        if has_gone(self.transport):
            self.transport.abort()
            return
        loop = self._context.loop
        now = loop.time()
        if (
            exchange.state != STREAMING
            or exchange.sent != sent
            or self.writing.write_paused
            or self.writing.sending
        ):
            self._since = now  # a call that has not begun its response is left to finish
        silent = now - self._since
        if silent >= wait and self.writing.probe():
            self._since = now
            wait *= 2
        elif 0 < self._settings.timeout_write <= silent:
            self.transport.abort()
            return
        self._timer = loop.call_later(PROBE, self._check_departure, wait, exchange.sent)

    def _check_unread(self, exchange: Exchange) -> None:
        """Check a peer whose end does not show because nothing of it is read."""
        if has_gone(self.transport):
            self.transport.abort()
        elif exchange.state == STREAMING and has_ended(self.transport):
            self._watch_departure(exchange)

    def write_failed(self) -> None:
        """The transport is closing under an exchange, whose application may end it before
        ``connection_lost`` comes: what is not whole by now will never be."""
        if self.exchange is not None:
            self._abandon(self.exchange, aborted=self.state == CLOSED)

    def _abandon(self, exchange: Exchange, *, aborted: bool = False) -> None:
        """The peer has gone, or we have had enough of it."""
        self.exchange = None
        end_call(self._context, exchange, aborted=aborted)

    def abandon(self) -> None:
        """The application obeyed a disconnect: end in silence what it left."""
        exchange = self.exchange
        if exchange is None:
            return
        self._abandon(exchange)
        self._break_off()

    def _hand_over(self) -> bool:
        """The client spoke HTTP/2 from its first byte (RFC 9113 §3.3): go on as its connection.

        Returns whether that is possible.
        """
        hand_over = self._settings.prior_knowledge
        if hand_over is None or self._used or self.peer.connection_scheme != "http":
            return False
        held = self.reading.take_held()
        self.state = CLOSED
        self._context.clock.watched.discard(self)
        self.reading.close()
        self.writing.close()
        hand_over(self, self.transport, held)
        return True

    # -- upgrades ------------------------------------------------------------------------------

    def limit_handshake(self, timeout: float) -> None:
        """The answer to a handshake has to come within ``timeout`` seconds; 0 is no limit."""
        self.deadline = self._context.clock.after(timeout) if timeout else NEVER

    def upgrade(self, response: bytes, end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Send ``response`` (a 101) and hand the transport over to ``end``.

        Returns the stream, and the bytes that have come already.
        """
        context = self._context
        writing = self.writing
        writing.flush()
        self.exchange = None
        self.state = CLOSED
        context.clock.watched.discard(self)
        self.reading.resume()
        tunnel = open_tunnel(
            context,
            self.transport,
            end,
            self._settings.timeout_write,
            tls=self.peer.connection_scheme == "https",
        )
        context.admission.passes_on(self, tunnel)
        if writing.write_paused:
            context.clock.stalled.discard(self)
            tunnel.pause_writing()
        writing.write(response)
        held = self.reading.take_held()
        self._set_timer(None)
        self.reading.close()
        writing.close()
        if self._eof:
            context.loop.call_soon(tunnel.eof_received)
        return tunnel, held

    # -- refusing ------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal, *, without_content: bool = False) -> None:
        """Answer for the application or the peer, then let go of the connection."""
        state = self.state
        if state >= DRAINING:
            if state == DRAINING:
                self._linger()  # the request has been answered: no second answer
            return
        observer = self._context.observer
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.disconnect()
            exchange.cancel_in_time()
            if exchange.on_the_wire:
                if observer is not None:
                    failed = refusal.blame is Blame.APPLICATION
                    reason = "" if failed else f": {refusal.reason}"
                    observer.ended(exchange, exchange.status, f"broken off{reason}")
                self._break_off()
                return
        head = self._head if state == BUSY else None
        if head is not None and head.method == "HEAD":
            without_content = True
        self.writing.write_refusal(refusal, without_content=without_content)
        if observer is not None:
            observer.refused(self.peer, head, refusal, exchange)
        if head is not None and self.reading.complete:
            self._finish()
        else:
            self._linger()

    def _break_off(self) -> None:
        """End an incomplete response so that it cannot be taken for a complete one."""
        self.writing.flush_all()
        if self._head is not None and self._head.version == "1.0":
            self.state = CLOSED
            self.deadline = NEVER
            reset(self.transport)  # without framing nothing else tells
        else:
            self._close()  # the missing last chunk, or content, tells

    # -- the clock and the worker --------------------------------------------------------------

    def deadline_passed(self) -> None:
        """Close what is idle too long, answer 408 to half a request."""
        state = self.state
        if state <= RECEIVING and self.writing.write_paused:
            return  # it has to take its answers first: see ``check_writing``
        if state == RECEIVING:
            self.refuse(Refusal(408, "request header timeout"))
        elif state == BUSY:
            self._check_content()
        elif state == READY:
            self._end_idle()
        elif state == DRAINING:
            self._linger()  # what comes now is not answered with a reset

    def _check_content(self) -> None:
        """Refuse content that comes too slowly; what the application delays is not the peer's."""
        exchange = self.exchange
        if exchange is not None and self.reading.paused and self.deadline == EVERY_TICK:
            self._check_unread(exchange)
        elif exchange is None or exchange.content_complete:
            self.deadline = NEVER
            if exchange is not None:
                exchange.overdue()
        elif not exchange.continue_due:
            settings = self._settings
            if self.reading.too_slow(
                exchange.received,
                self._context.clock.elapsed,
                settings.timeout_body,
                settings.limit_body_rate,
            ):
                self.refuse(Refusal(408, "request body timeout"))

    def check_writing(self) -> None:
        """Reset a peer that has stopped reading while more waits to be sent than should."""
        stall = self._stall
        if stall is None:
            self._stall = WriteStall(self._unsent())
            return
        timeout = self._settings.timeout_write
        seconds = stall.look(self._unsent(), self._context.clock.elapsed)
        if timeout and seconds >= timeout:
            self.state = CLOSED
            self.deadline = NEVER
            reset(self.transport)

    def _unsent(self) -> int:
        """Bytes that the peer has not acknowledged, with those that are still in a file."""
        sending = self.writing.sending
        return unsent(self.transport) + (sending.left if sending is not None else 0)

    def file_waits(self) -> None:
        """A file is on its way: watch whether the peer reads on."""
        self._context.clock.stalled.add(self)

    def file_sent(self) -> None:
        """It waits no more."""
        if not self.writing.write_paused and self.state != CLOSED:
            self._context.clock.stalled.discard(self)
            self._stall = None

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for a request; ``None``: it does not (see ``Watched``)."""
        if self.state != READY or self.transport.get_write_buffer_size():
            return None  # while its peer takes an answer it is not idle
        settings = self._settings
        # Before the first request the header timeout runs, after it that of keep-alive.
        if not self._used:
            return self.deadline - settings.timeout_header
        return self.deadline - settings.timeout_keep_alive

    @property
    def answered_since(self) -> float | None:
        """Since when it only waits for its peer to close; ``None``: it does not."""
        if self.state != LINGERING or unsent(self.transport):
            return None
        return self._linger_end - LINGER_LONG

    @property
    def queued(self) -> bool:
        """Whether bytes of a further request wait for the exchange that is under way."""
        return self.exchange is not None and self.reading.complete and self.reading.more

    def shutdown(self) -> None:
        """No further request: close at once when idle, else after the present response."""
        self.writing.close_behind()
        if self.state == READY:
            self._end_idle()
        elif self.state == DRAINING:
            self._linger()  # the response has gone out; nobody wants the rest of the content
        elif self.state == LINGERING:
            self._set_silence()
            self._set_timer(self._silence)

    def wind_down(self, grace: float) -> None:
        """As ``shutdown``, but a client that was not told may send one more request meanwhile."""
        exchange = self.exchange
        if not grace:
            self.shutdown()
        elif self.state == READY:
            self._context.loop.call_later(grace, self._end_grace)
        elif exchange is None or not exchange.on_the_wire:
            self.shutdown()

    # -- to another worker ---------------------------------------------------------------------

    @property
    def movable(self) -> bool:
        """Whether another worker could go on with it, once it is idle: not over TLS."""
        plain = self.peer.connection_scheme == "http" and self._settings.redirect is None
        return plain and self.state < LINGERING

    @property
    def descriptor(self) -> int:
        """Of its socket."""
        sock: Any = self.transport.get_extra_info("socket")
        return int(sock.fileno())

    def idle(self) -> Idle | None:
        """What another worker has to know to go on; ``None`` while anything is under way here."""
        reading, transport = self.reading, self.transport
        if (
            self.state != READY
            or self.deadline == NEVER
            or self._eof
            or self._timer is not None
            or reading.paused
            or not (reading.fresh and reading.complete and self.writing.quiet)
            or transport.is_closing()
            or transport.get_write_buffer_size()
        ):
            return None
        remaining = self.deadline - self._context.clock.now
        if self._context.draining and self._used:
            remaining = self._settings.timeout_keep_alive  # it may stay for less here
        return Idle(self._used, self._requests_left, remaining, *self.peer.carried)

    def resume(self, idle: Idle) -> None:
        """Go on where another worker has stopped."""
        self._used = idle.used
        self._requests_left = idle.requests_left or self._requests_left
        if self.state == READY:
            deadline = self._context.clock.now + idle.remaining
            draining = self._context.draining
            self.deadline = min(self.deadline, deadline) if draining else deadline

    def _end_grace(self) -> None:
        if self.state == READY:
            self._end_idle()

    # -- the end -------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Close after the last response; a plain close may reset it away (RFC 9112 §9.6).

        Only a client that asked for the end, and got all of its answers, sends no more.
        """
        head, reading = self._head, self.reading
        tls = not self.transport.can_write_eof()
        asked = not reading.framing & KEEP_ALIVE
        old = head is not None and head.version == "1.0"
        if reading.complete and not reading.more and (asked or tls):
            self._close()
        elif old and tls and reading.complete:
            self._close()  # nothing else may tell where the content ends
        else:
            self._linger()

    def _linger(self) -> None:
        """RFC 9112 §9.6: end our side, go on reading for a while, then close."""
        self.writing.flush_all()
        self.state = LINGERING
        self.deadline = NEVER
        if self._eof:
            self._close()
            return
        transport = self.transport
        if transport.is_closing():
            return
        self._since = self._context.loop.time()
        self._linger_end = self._since + LINGER_LONG
        self.reading.resume()
        if transport.can_write_eof():  # over TLS the response's own length has to tell
            end_writing(transport)
        self._set_silence()
        self._set_timer(self._silence)

    def _set_silence(self) -> None:
        """Choose for how long nothing may come while lingering."""
        tells = self.transport.can_write_eof()
        if self._context.draining or not (tells or self.reading.half_read):
            self._silence = LINGER_BRIEF
        else:
            self._silence = LINGER_CONTENT if tells and self.reading.half_read else LINGER

    def _linger_received(self, data: bytes) -> None:
        """Drop what comes behind the last response."""
        if self.state == CLOSED:
            return
        self._since = self._context.loop.time()
        reading = self.reading
        if reading.complete:
            return
        if reading.drop(data) and not self.transport.can_write_eof():
            self._close()  # it has sent what it announced
        else:
            self._set_silence()

    def _check_linger(self) -> None:
        """The peer had its time, unless it is still sending or taking the response."""
        self._timer = None
        if self.state != LINGERING:
            return
        now = self._context.loop.time()
        if self.transport.get_write_buffer_size():
            # Once closed we would be deaf, and what the peer sends would reset the response away.
            self._context.clock.stalled.add(self)
            self._since = now
            self._set_timer(LINGER)
            return
        end = min(self._since + self._silence, self._linger_end)
        if end <= now:
            self._close()
        else:
            self._set_timer(end - now)

    def _set_timer(self, delay: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is not None:
            self._timer = self._context.loop.call_later(delay, self._check_linger)

    def _end_idle(self) -> None:
        """Close; but linger while the answer is on its way: requests behind it would reset it."""
        self.writing.flush()
        transport = self.transport
        # Over TLS nothing tells the peer of a lingering close: that is for what waits here only.
        tells = transport.can_write_eof()
        if unsent(transport) if tells else transport.get_write_buffer_size():
            self._linger()
        else:
            self._close()

    def _close(self) -> None:
        self.writing.flush_all()
        self.state = CLOSED
        self.deadline = NEVER
        transport = self.transport
        if transport.is_closing():
            return  # asyncio's over TLS is of no use after a second close
        transport.close()
        if transport.get_write_buffer_size():
            self._context.clock.stalled.add(self)  # the peer has to take the rest in time
        elif self._context.draining and not transport.can_write_eof():
            self._context.loop.call_later(UNCONFIRMED, transport.abort)

    def abort(self) -> None:
        """End the connection without another byte."""
        self.writing.drop()
        self.state = CLOSED
        self.deadline = NEVER
        self.transport.abort()
