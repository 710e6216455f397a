"""What the metrics are told of exchanges."""

from __future__ import annotations

from math import log2
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.http.refusal import Blame
from katana_asgi.observe.metrics import route_of
from katana_asgi.observe.observer import LEFT

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.net.peer import Peer
    from katana_asgi.observe.metrics import WorkerMetrics
    from katana_asgi.observe.observer import Observed
    from katana_asgi.routes.static import StaticResponse

__all__ = ["MetricsObserver"]

REASONS: Final = {
    400: "malformed",
    408: "too_slow",
    413: "content_too_large",
    414: "request_line_too_long",
    431: "head_too_large",
    503: "overload",
}
"""Why the server turned a request away, by the status it gave; others have their number."""


class MetricsObserver:
    """Counts; see ``Observer`` for what its methods mean."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._streaming: set[Observed] = set()  # their first byte had a time of its own

    @property
    def reads_fields(self) -> bool:
        return False

    def began(self, exchange: Observed) -> None:
        self._metrics.received += 1
        exchange.began = perf_counter()

    def first_byte(self, exchange: Observed) -> None:
        self._metrics.streamed_first.record(perf_counter() - exchange.began)
        self._streaming.add(exchange)

    def done(self, exchange: Observed) -> None:
        metrics = self._metrics
        seconds = perf_counter() - exchange.began
        if exchange in self._streaming:
            self._streaming.discard(exchange)
            metrics.streamed.record(seconds)
        else:
            times = metrics.whole  # Histogram.record, without the call
            times.total += seconds
            try:
                times.counts[int(log2(seconds) * 8.0 + 240.0)] += 1
            except (IndexError, ValueError, OverflowError):
                times.record_beyond(seconds)
        metrics.bytes_out += exchange.sent
        head, status = exchange.head, exchange.status
        try:
            metrics.by_status[head.method][status] += 1
        except KeyError:
            metrics.answered(head.method, status)
        if seconds > metrics.slow_from or metrics.routes:
            self._examine(seconds, head, status)

    def _examine(self, seconds: float, head: RequestHead, status: int) -> None:
        """A request that is slow, or may belong to a route that is counted apart."""
        metrics = self._metrics
        if metrics.routes:
            route = route_of(metrics.routes, head.path)
            if route is not None:
                metrics.route_times[route].record(seconds)
        if seconds > metrics.slow_from:
            metrics.slow(seconds, head.method, head.path, status)

    def ended(self, exchange: Observed, status: int, remark: str) -> None:
        metrics = self._metrics
        self._streaming.discard(exchange)
        metrics.bytes_out += exchange.sent
        metrics.answered(exchange.head.method, status)
        if status != LEFT:
            metrics.whole.record(perf_counter() - exchange.began)

    def refused(
        self, peer: Peer, head: RequestHead | None, refusal: Refusal, exchange: Observed | None
    ) -> None:
        metrics = self._metrics
        if exchange is None:
            metrics.received += head is not None
        else:
            metrics.whole.record(perf_counter() - exchange.began)
        metrics.answered("other" if head is None else head.method, refusal.status)
        if refusal.status < 400:
            metrics.redirects += 1
        elif refusal.blame is not Blame.APPLICATION:
            metrics.rejected(REASONS.get(refusal.status, str(refusal.status)))

    def answered(self, peer: Peer, head: RequestHead, response: StaticResponse) -> None:
        self._metrics.static += 1

    def upgraded(self, exchange: Observed) -> None:
        self._metrics.websockets += 1
        self._metrics.answered(exchange.head.method, exchange.status)

    def closed(
        self, exchange: Observed, sent: int, received: int, remark: str, messages: Any
    ) -> None:
        """Counted when it opened."""
