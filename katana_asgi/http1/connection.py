"""One HTTP/1.1 connection: read, parse, answer in order, keep or close (RFC 9112 §9).

At most one exchange is under way; what arrives behind it waits, unparsed, in the parser.
A static route is answered here, before any scope or task exists. What a connection does::

    READY ──bytes──▶ RECEIVING ──head──▶ BUSY (an exchange) ──response and content──▶ READY
      │                │                  └──response complete, content not──▶ DRAINING ──▶ READY
      ├──idle too long─┴──static route──▶ READY
      └──error, or no more requests──▶ LINGERING ──peer closes, or deadline──▶ CLOSED
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from katana_asgi.asgi.call import call
from katana_asgi.asgi.exchange import HIGH_WATER, Exchange
from katana_asgi.asgi.scope import fresh_scope
from katana_asgi.asgi.start import start
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.message import UNKNOWN
from katana_asgi.http1.batch import Batch
from katana_asgi.http1.ending import (
    BUSY,
    CLOSED,
    DRAINING,
    LINGER,
    LINGERING,
    READY,
    RECEIVING,
)
from katana_asgi.http1.lifecycle import RETRY_LATER, Http1Lifecycle
from katana_asgi.http1.parser import HEAD_END, RequestParser
from katana_asgi.net.clock import EVERY_TICK, NEVER

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.routes.static import CachedResponse

__all__ = ["Http1Connection"]

_UNUSED: Final[dict[str, Any]] = {}
MAX_REMEMBERED: Final = 8192
"""Bytes of a read that a connection remembers, against many connections with large heads."""


class Http1Connection(Http1Lifecycle):
    """The asyncio protocol of one connection, and the sink of its parser."""

    __slots__ = (
        "_heads",
        "_last_answer",
        "_last_batch",
        "_last_data",
        "_last_head",
        "_last_scope",
    )

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._parser = RequestParser(self, settings.parse_head, settings.limits)
        self._heads = settings.heads
        # The last read that was one whole head without content, and what became of it.
        self._last_data: bytes | None = None
        self._last_head = None
        self._last_answer: CachedResponse | None = None
        self._last_batch: Batch | None = None  # ... or several, answered by static routes
        self._last_scope: dict[str, Any] | None = None

    # -- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the first head has to come within the header timeout."""
        super().connection_made(transport)
        context = self._context
        clock = context.clock
        admission = context.admission
        full = len(clock.watched) >= admission.most and not admission.has_room()
        clock.watched.add(self)
        self.deadline = clock.after(LINGER if context.draining else self._settings.timeout_header)
        if full or admission.counts_clients:
            self._admit(full)

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        state = self._state
        if state == READY:
            if data == self._last_data:
                self._repeat()
                return
            head = self._heads.get(data) if data.endswith(HEAD_END) else None  # long to hash
            if head is not None and head.simple:
                self._take(data, head)
                return
            self._state = RECEIVING
        elif state >= LINGERING:
            self._linger_received(data)
            return
        try:
            self._parser.feed(data)
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        if state == READY:
            self._began(data)
        batch = self._batch
        self._advance()
        if batch is not None and state == READY:
            self._remember_batch(data, batch)
        exchange = self._exchange
        if exchange is not None and (exchange.buffered or self._parser.holds):
            self._throttle()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or the connection was closed."""
        aborted, self._state = self._state == CLOSED, CLOSED
        self._queue = None
        self._outgoing = None
        self._write = self._transport.write  # where it was our own method, we kept ourselves
        self._parser.close()
        self._context.clock.stalled.discard(self)
        self._context.connection_closed(self)
        if self._writable is not None:
            self._writable.set()
        exchange = self._exchange
        if exchange is not None:
            self._abandon(exchange, aborted=aborted)

    # -- RequestSink ---------------------------------------------------------------------------

    def request_received(self, head: RequestHead) -> None:
        """Answer from a static route, or make an exchange; ``_advance`` starts it."""
        context = self._context
        self._head = head
        self._keep_alive = head.keep_alive
        answer = head.answer
        if answer is UNKNOWN:
            answer = head.answer = None if context.routes is None else context.routes.match(head)
        if answer is not None:
            self._answer(cast("CachedResponse", answer), head)
            return
        context.requests += 1
        self._state = BUSY
        self._received = 0
        limit = self._settings.limit_body
        if limit and (head.content_length or 0) > limit:
            self._refuse(RemoteProtocolError("content too large", 413))
            return
        if head.upgrade is not None and self._settings.switch is not None:
            try:
                self._exchange = self._settings.switch(self, head)
            except RemoteProtocolError as error:
                self._refuse(error)
                return
            self._chunked = False
        if self._exchange is None:
            self._make_exchange(head, self.make_scope(head))

    def content_received(self, data: bytes) -> None:
        """Give content to the exchange, or drop it where the application did not want it."""
        exchange = self._exchange
        if exchange is None:
            self._unread -= len(data)
            if self._unread < 0 and self._state == DRAINING:
                self._linger()
            return
        self._received += len(data)
        limit = self._settings.limit_body
        if limit and self._received > limit:
            raise RemoteProtocolError("content too large", 413)
        exchange.content_received(data)

    def request_complete(self) -> None:
        """The request's content is complete."""
        if self._exchange is not None:
            self._exchange.request_complete()
            self.deadline = NEVER
        elif self._state == DRAINING:
            self._ready()

    # -- the exchange's side -------------------------------------------------------------------

    def _response_complete(self) -> None:
        """The last byte of a response is with the transport."""
        exchange = self._exchange
        if exchange is None:
            return
        context = self._context
        if context.access is not None:
            self._log_complete(exchange)
        if exchange.content_complete and self._keep_alive:
            self._exchange = None
            self._ready()
            return
        must_close = not self._keep_alive or self._must_close()
        self._exchange = None
        if must_close:
            self._finish()
        else:
            self._state = DRAINING
            self._unread = self._settings.limit_unread
            self.deadline = context.clock.after(self._settings.timeout_header)
            self._resume_reading()

    # -- one request after the other -----------------------------------------------------------

    def _began(self, data: bytes) -> None:
        """The first read of a request: time the rest of its head, or remember it whole."""
        parser = self._parser
        if not parser.complete:
            if parser.fresh:
                self._state = READY  # an empty line begins nothing
            elif self._state == RECEIVING:
                self.deadline = self._context.clock.after(self._settings.timeout_header)
        elif self._settings.remember and not parser.holds and len(data) <= MAX_REMEMBERED:
            head = self._head
            if head.simple:
                self._remember(data, head)

    def _remember(self, data: bytes, head: RequestHead) -> None:
        self._last_data = data
        self._last_head = head
        self._last_scope = None
        self._last_batch = None
        self._last_answer = cast("CachedResponse | None", head.answer)

    def _take(self, data: bytes, head: RequestHead) -> None:
        """A read that another connection, or this one before its last, has sent: a whole head."""
        self._remember(data, head)
        self._last_scope = _UNUSED  # for one request a scope to copy from is not worth it
        self._parser.complete = not head.keep_alive  # ... and will come: nothing to linger for
        self._repeat()

    def _repeat(self) -> None:
        """The last read again: what it was parsed to need not be found out again."""
        head = self._last_head
        assert head is not None  # noqa: S101 - remembered together with its bytes
        answer = self._last_answer
        if answer is not None:
            self._answer(answer, head)
            return
        context = self._context
        batch = self._last_batch
        if batch is not None:
            if context.draining:
                self._answer(batch.answers[0], head)  # the last one, as without a memo
                return
            self._write_batch(batch)
            self.deadline = context.clock.idle_deadline
            return
        context.requests += 1
        self._state = BUSY
        self._parser.complete = True
        self._head = head
        self._keep_alive = head.keep_alive
        template = self._last_scope
        if template:
            scope = fresh_scope(template, context)
        elif template is None:
            self._last_scope = self.make_scope(head)
            scope = fresh_scope(self._last_scope, context)
        else:
            scope = self.make_scope(head)
            self._last_scope = None
        if context.limit_concurrency and context.running >= context.limit_concurrency:
            self._refuse(_too_busy())
            return
        self.deadline = NEVER
        self._chunked = False
        exchange = self._exchange = Exchange(context, self, scope)
        self._start(exchange)

    def _make_exchange(self, head: RequestHead, scope: dict[str, Any]) -> None:
        context = self._context
        if context.limit_concurrency and context.running >= context.limit_concurrency:
            self._refuse(_too_busy())
            return
        self.deadline = NEVER
        self._chunked = False
        exchange = self._exchange = Exchange(context, self, scope)
        if head.has_content:
            exchange.content_complete = False
            exchange.continue_due = head.expect_continue
            self._pace = None
            self.deadline = EVERY_TICK
        if self._eof:
            exchange.half_closed = True

    def _advance(self) -> None:
        """Start the exchange that was just made, or answer what can be answered without one."""
        if self._exchange is None:
            self._answer_held()
        exchange = self._exchange
        if exchange is not None and not exchange.started:
            self._start(exchange)

    def _start(self, exchange: Exchange) -> None:
        """Call the application, in its own copy of the context that startup left."""
        exchange.started = True
        context = self._context
        context.running += 1
        if context.timed:
            exchange.began = perf_counter()
        exchange.task = start(call(exchange, context), context.loop, context.variables.copy())

    def _answer_held(self) -> None:
        """Go on with the held bytes until they are used up or a request needs an exchange."""
        parser = self._parser
        begun = False  # another request, from its first byte
        while (
            self._exchange is None
            and parser.complete
            and self._state <= RECEIVING
            and not self.write_paused
        ):
            begun = True
            if parser.holds:
                self._state = RECEIVING
            try:
                parser.next_request()
            except RemoteProtocolError as error:
                self._refuse(error)
                break
        self._flush_batch()
        if self._exchange is None and self._state <= RECEIVING and not parser.complete:
            if self._eof:
                self._close()
            elif parser.fresh:
                self._state = READY
            elif begun:
                self.deadline = self._context.clock.after(self._settings.timeout_header)

    def _answer(self, answer: CachedResponse, head: RequestHead) -> None:
        """Write a static response."""
        context = self._context
        if context.draining:
            answer = answer.draining()
        if self._parser.holds or self._batch is not None:
            batch = self._batch
            if batch is None:
                batch = self._batch = Batch()
            batch.add(head, answer)
            if batch.size > HIGH_WATER:
                batch.whole = False
                self._flush_batch()  # before more is rendered, see whether the peer takes it
        else:
            fields = context.clock.fields
            if answer.stamp is not fields:
                answer.refresh(fields)
            self._write(answer.data)
            context.requests += 1
            if context.access is not None:
                self._log_answer(head, answer)
        if answer.close:
            self._head = head
            self._finish()
        else:
            self._state = READY
            self.deadline = context.clock.idle_deadline

    def _remember_batch(self, data: bytes, batch: Batch) -> None:
        """Keep the answer to a read of which static routes answered every request."""
        if not batch.whole or self._state != READY or self._parser.holds:
            return  # it is not the answer to all of the read
        if self._settings.remember and len(data) <= MAX_REMEMBERED:
            self._last_data = data
            self._last_head = batch.heads[0]
            self._last_answer = None
            self._last_batch = batch

    def _ready(self) -> None:
        """Wait for the next request, or take it from what was held."""
        self._state = READY
        self.deadline = self._context.clock.idle_deadline
        parser = self._parser
        if self.write_paused:
            self._throttle()  # what was held waits until the peer has read what it has
            return
        if parser.holds or self._eof:
            self._advance()
        else:
            parser.complete = False
        if not self._reading:
            self._throttle()


def _too_busy() -> RemoteProtocolError:
    return RemoteProtocolError("too many requests at once", 503, RETRY_LATER)
