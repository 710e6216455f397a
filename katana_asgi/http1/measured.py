"""Connections that count: what metrics add to a connection, and only where they are on.

Chosen once per listener, so that a connection without metrics has nothing to test.
"""

from __future__ import annotations

from functools import partial
from math import log2
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from katana_asgi.asgi.call import call
from katana_asgi.asgi.start import start
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.counted import CountedConnection
from katana_asgi.http1.ending import BUSY, DRAINING, READY
from katana_asgi.http1.proxied import ProxiedConnection, proxied_factory
from katana_asgi.http1.records import LEFT
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.observe.metrics import route_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.errors import RemoteProtocolError
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.observe.metrics import WorkerMetrics

__all__ = ["MeasuredConnection", "Measuring", "measured_factory"]

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


class Measuring(Http1Connection):
    """Counts on the way; the subclass below adds it to both kinds of connections."""

    __slots__ = ()  # two bases with slots would not fit together

    _metrics: WorkerMetrics

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


class MeasuredConnection(Measuring):
    """A connection that counts."""

    __slots__ = ("_metrics",)


class MeasuredCountedConnection(Measuring, CountedConnection):
    """A connection that counts and has a limit of requests."""

    __slots__ = ("_metrics",)


class MeasuredProxiedConnection(Measuring, ProxiedConnection):
    """A connection that counts, behind a PROXY header."""

    __slots__ = ("_metrics",)


Made = TypeVar("Made", bound=Measuring)


def measured_factory(
    context: WorkerContext,
    settings: Http1Settings,
    endpoint: Endpoint | bool,
    metrics: WorkerMetrics,
) -> Callable[[], asyncio.Protocol]:
    """A factory of connections that count, of the kind that the settings ask for."""

    def counting(kind: Callable[..., Made]) -> Callable[..., Made]:
        def make(*arguments: Any) -> Made:
            connection = kind(*arguments)
            connection._metrics = metrics
            return connection

        return make

    limited = settings.limit_keep_alive_requests
    plain = counting(MeasuredCountedConnection if limited else MeasuredConnection)
    if settings.proxy_trusts is not None:
        proxied = counting(MeasuredProxiedConnection)
        return proxied_factory(context, settings, plain=plain, proxied=proxied)
    return partial(plain, context, settings, endpoint, context.scheme)
