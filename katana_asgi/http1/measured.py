"""Connections that count: what metrics add to a connection, and only where they are on.

One class for plain connections, those with a limit of requests and those behind a PROXY header:
where metrics are on, a test more is not what counts. The others have nothing to test.
"""

from __future__ import annotations

from math import log2
from time import perf_counter
from typing import TYPE_CHECKING, Final

from katana_asgi.asgi.call import call
from katana_asgi.asgi.start import start
from katana_asgi.http1.ending import BUSY, DRAINING, READY
from katana_asgi.http1.proxied import ProxiedConnection
from katana_asgi.http1.records import LEFT
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.observe.metrics import route_of

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.errors import RemoteProtocolError
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.observe.metrics import WorkerMetrics

__all__ = ["MeasuredConnection"]

REASONS: Final = {
    400: "malformed",
    408: "too_slow",
    413: "content_too_large",
    414: "request_line_too_long",
    431: "head_too_large",
    503: "overload",
}
"""Why the server turned a request away, by the status it gave; others have their number."""


_send_response: Final = Http1Writer.send_response  # what nobody in between overrides


class MeasuredConnection(ProxiedConnection):
    """Counts on the way."""

    __slots__ = ("_metrics",)

    def __init__(
        self,
        metrics: WorkerMetrics,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._metrics = metrics

    @property
    def queued(self) -> bool:
        """Whether bytes of a further request wait for the exchange that is under way."""
        return self._exchange is not None and bool(self._parser.holds)

    def data_received(self, data: bytes) -> None:
        """Take what was read; a read that repeats the last is counted as known."""
        metrics = self._metrics
        metrics.bytes_in += len(data)
        if self._state == READY and data == self._last_data:
            metrics.memo_hits += 1
            self._repeat()
            return
        super().data_received(data)

    def _take(self, data: bytes, head: RequestHead) -> None:
        self._metrics.memo_hits += 1
        super()._take(data, head)

    def _start(self, exchange: Exchange) -> None:
        """As without metrics, but always timed: not another call for each request."""
        exchange.started = True
        context = self._context
        context.running += 1
        self._metrics.received += 1
        exchange.began = perf_counter()
        exchange.task = start(call(exchange, context), context.loop, context.variables.copy())

    def send_response(
        self,
        status: int,
        fields: ResponseFields,
        length: int | None,
        content: bytes,
        more: bool,
    ) -> None:
        """Send a head and its first content; where more follows, this is the first byte.

        What is counted is counted before: behind the last byte the next request may begin.
        """
        metrics = self._metrics
        metrics.bytes_out += len(content)
        exchange = self._exchange
        assert exchange is not None  # noqa: S101 - it is our caller
        seconds = perf_counter() - exchange.began
        if more:
            metrics.streamed_first.record(seconds)
            _send_response(self, status, fields, length, content, more)
            return
        times = metrics.whole  # Histogram.record, without the call
        times.total += seconds
        try:
            times.counts[int(log2(seconds) * 8.0 + 240.0)] += 1
        except (IndexError, ValueError, OverflowError):
            times.record_beyond(seconds)
        try:
            metrics.by_status[self._head.method][status] += 1
        except KeyError:
            metrics.answered(self._head.method, status)
        if seconds > metrics.slow_from or metrics.routes:
            self._look_closer(seconds, status)
        _send_response(self, status, fields, length, content, more)

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content."""
        metrics = self._metrics
        metrics.bytes_out += len(data)
        exchange = self._exchange
        if not more and exchange is not None:
            seconds = perf_counter() - exchange.began
            metrics.streamed.record(seconds)
            metrics.answered(self._head.method, exchange.status)
            if seconds > metrics.slow_from or metrics.routes:
                self._look_closer(seconds, exchange.status)
        super().send_content(data, more)

    def _look_closer(self, seconds: float, status: int) -> None:
        """A request that is slow, or may belong to a route that is counted apart."""
        metrics = self._metrics
        head = self._head
        if metrics.routes:
            route = route_of(metrics.routes, head.path)
            if route is not None:
                metrics.route_times[route].record(seconds)
        if seconds > metrics.slow_from:
            metrics.slow(seconds, head.method, head.path, status)

    def upgrade(self, response: bytes, end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Hand the transport over; what comes through it is not counted here."""
        self._metrics.websockets += 1
        self._metrics.answered(self._head.method, 101)
        return super().upgrade(response, end)

    def _refuse(self, error: RemoteProtocolError) -> None:
        if self._state >= DRAINING:
            super()._refuse(error)  # which does not answer again
            return
        metrics = self._metrics
        exchange = self._exchange
        status = error.status
        under_way = exchange is not None and exchange.started
        busy = self._state == BUSY
        if busy and not under_way:
            metrics.received += 1
        if exchange is not None and exchange.on_the_wire:
            status = exchange.status
        metrics.answered(self._head.method if busy else "other", status)
        if exchange is not None and exchange.started:
            metrics.whole.record(perf_counter() - exchange.began)
        if error.status != 500:
            metrics.rejected(REASONS.get(error.status, str(error.status)))
        super()._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone; where it waited for an answer, that counts as 499."""
        if self._exchange is not None:
            self._metrics.answered(self._head.method, LEFT)
        super().connection_lost(exc)
