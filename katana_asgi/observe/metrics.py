"""What one worker counts: plain integers and histograms, without locks, on its own loop.

Connections add to the slots directly. Once a tick a snapshot, which is plain data, goes to
whoever answers for all workers (``fleet.py``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.http.status import LAST
from katana_asgi.observe.histogram import Histogram
from katana_asgi.observe.process import GcPauses, cpu_seconds, open_descriptors, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

__all__ = ["METHODS", "WorkerMetrics", "route_of"]

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"}
)
"""Methods with a label of their own (RFC 9110 §9); all others are ``other``."""

SLOWEST: Final = 10
"""Requests that are remembered for being slow."""

SLOW_WINDOW: Final = 60.0
"""Seconds after which a slow request is no longer recent."""

MAX_PATH: Final = 200
"""Bytes of a path that are kept, against very long ones."""


class WorkerMetrics:
    """The counters of a worker. Durations in seconds, sizes in bytes.

    ``routes`` are the paths, and beginnings of paths that end in ``*``, that are counted apart.
    """

    __slots__ = (
        "_gc",
        "_slow",
        "by_status",
        "bytes_in",
        "bytes_out",
        "lag",
        "received",
        "redirects",
        "rejections",
        "route_times",
        "routes",
        "slow_from",
        "static",
        "streamed",
        "streamed_first",
        "websockets",
        "whole",
    )

    def __init__(self, routes: Iterable[str] = ()) -> None:
        self.routes = tuple(routes)
        self.route_times = {route: Histogram() for route in self.routes}
        self.received = 0  # requests for the application
        self.static = 0  # ... answered by static routes
        self.redirects = 0  # ... sent on to https
        self.bytes_in = 0
        self.bytes_out = 0
        self.websockets = 0  # opened since start
        # A response in one piece has one duration: its first byte leaves with the last.
        self.whole = Histogram()
        self.streamed_first = Histogram()
        self.streamed = Histogram()
        self.lag = Histogram()
        self.by_status: dict[str, list[int]] = {}  # for each method counts, at their statuses
        self.rejections: dict[str, int] = {}
        self._slow: list[tuple[float, float, str, str, int]] = []
        self.slow_from = 0.0  # what takes longer is one of the slowest
        self._gc = GcPauses()

    def __enter__(self) -> Self:
        """Begin to watch the garbage collector."""
        self._gc.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch it no more."""
        self._gc.stop()

    def answered(self, method: str, status: int) -> None:
        """Count a request by method and status; clients cannot make up labels."""
        label = method if method in METHODS else "other"
        counts = self.by_status.get(label)
        if counts is None:
            counts = self.by_status[label] = [0] * (LAST + 1)
        counts[status] += 1

    @property
    def statuses(self) -> dict[tuple[str, int], int]:
        """How many requests there were of each method and status."""
        return {
            (method, status): count
            for method, counts in self.by_status.items()
            for status, count in enumerate(counts)
            if count
        }

    def rejected(self, reason: str) -> None:
        """Count a request or a connection that the server turned away."""
        self.rejections[reason] = self.rejections.get(reason, 0) + 1

    def slow(self, seconds: float, method: str, path: str, status: int) -> None:
        """Take a request among the slowest of the last minute."""
        now = time.time()
        slow = [each for each in self._slow if each[1] > now - SLOW_WINDOW]
        slow.append((seconds, now, method, path[:MAX_PATH], status))
        slow.sort(reverse=True)
        self._slow = slow[:SLOWEST]
        self.slow_from = self._slow[-1][0] if len(self._slow) == SLOWEST else 0.0

    def tick(self, lag: float) -> None:
        """Once a tick: the delay of the loop, and old slow requests leave."""
        self.lag.record(lag)
        recent = time.time() - SLOW_WINDOW
        if any(each[1] <= recent for each in self._slow):
            self._slow = [each for each in self._slow if each[1] > recent]
            self.slow_from = 0.0

    def snapshot(self, gauges: dict[str, int], *, draining: bool) -> dict[str, Any]:
        """Everything, as plain data.

        ``gauges`` are what the worker has now: connections by state, exchanges under way.
        """
        duration, first = Histogram(), Histogram()
        for total, parts in (
            (duration, (self.whole, self.streamed)),
            (first, (self.whole, self.streamed_first)),
        ):
            for part in parts:
                total.add(part)
        return {
            "counters": {
                "static": self.static,
                "redirects": self.redirects,
                "bytes_in": self.bytes_in,
                "bytes_out": self.bytes_out,
                "websockets": self.websockets,
                "cpu": round(cpu_seconds(), 3),
                "gc_pauses": self._gc.count,
                "gc_seconds": round(self._gc.seconds, 6),
            },
            "requests": {
                f"{method} {status}": count for (method, status), count in self.statuses.items()
            },
            "rejections": dict(self.rejections),
            "gauges": {**gauges, "rss": resident_bytes(), "descriptors": open_descriptors()},
            "draining": draining,
            "lag": self.lag.packed(),
            "duration": duration.packed(),
            "first_byte": first.packed(),
            "routes": {route: times.packed() for route, times in self.route_times.items()},
            "slow": list(self._slow),
        }


def route_of(routes: tuple[str, ...], path: str) -> str | None:
    """The first of the allowed routes that ``path`` belongs to."""
    for route in routes:
        if path == route or (route[-1:] == "*" and path.startswith(route[:-1])):
            return route
    return None
