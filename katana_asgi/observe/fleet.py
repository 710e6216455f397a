"""The workers of a service as whoever answers for them sees them: merged snapshots.

Counters of a worker that has ended stay in the sums, so that no sum ever falls.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.observe.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Fleet"]

LATE: Final = 3.0
"""Seconds without a snapshot, which comes each second, after which a worker counts as blocked."""

RECENT: Final = 10
"""Ticks that "recent" reaches back; about seconds."""

HISTOGRAMS: Final = ("duration", "first_byte", "lag")
COUNTED: Final = ("counters", "requests", "rejections")
QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
SLOWEST: Final = 10


class Fleet:
    """Snapshots by process id, and what remains of those that ended."""

    def __init__(self, expected: int, application: str = "") -> None:
        self.application = application  # its name, for people
        self.since = time.time()
        self.certificates: Callable[[], Mapping[str, float]] = dict  # when each host's expires
        self.expected = expected  # workers that make the service ready
        self.restarts = 0
        self.stopping = False
        self.began = time.monotonic()  # a clock that is set must not change what has passed
        self._workers: dict[int, dict[str, Any]] = {}
        self._past: list[dict[str, Any]] = []
        self._recent: deque[tuple[float, Histogram, int]] = deque(maxlen=RECENT + 1)

    def update(self, pid: int, number: int, snapshot: dict[str, Any]) -> None:
        """Take a snapshot of a worker that accepts connections."""
        now = time.monotonic()
        self._workers[pid] = {**snapshot, "pid": pid, "number": number, "at": now}

    def ended(self, pid: int) -> None:
        """A worker has ended."""
        last = self._workers.pop(pid, None)
        if last is not None:
            self._past = [_summed([*self._past, last])]

    @property
    def ready(self) -> bool:
        """Whether every worker that should be there accepts connections, and any can answer.

        One of several that is blocked leaves the others to be asked; the loop of a worker that
        publishes nothing does not turn.
        """
        if self.stopping:
            return False
        accepting = [each for each in self._workers.values() if not each["draining"]]
        turning = any(time.monotonic() - each["at"] < LATE for each in accepting)
        return turning and len({each["number"] for each in accepting}) >= self.expected

    def tick(self) -> None:
        """Once a second: remember where the sums were, for what is recent."""
        total = self.summed()
        served = sum(total["requests"].values()) + total["counters"].get("static", 0)
        self._recent.append((time.monotonic(), total["duration"], served))

    def summed(self) -> dict[str, Any]:
        """The sums over all workers since start, histograms as ``Histogram``."""
        made = _summed([*self._past, *self._workers.values()])
        for name in HISTOGRAMS:
            made[name] = Histogram.unpacked(made[name])
        made["routes"] = {
            route: Histogram.unpacked(packed) for route, packed in made["routes"].items()
        }
        return made

    @property
    def workers(self) -> list[dict[str, Any]]:
        """The last snapshot of each worker, in the order of their numbers."""
        return sorted(self._workers.values(), key=lambda each: (each["number"], each["pid"]))

    def status(self) -> dict[str, Any]:
        """Everything a person or a program wants to see at once, as plain data.

        Durations in seconds, sizes in bytes.
        """
        total = self.summed()
        rate, recent = self._rate_and_recent()
        classes: dict[str, int] = {}
        for name, count in total["requests"].items():
            key = f"{name.rpartition(' ')[2][0]}xx"
            classes[key] = classes.get(key, 0) + count
        slow = sorted((each for one in self.workers for each in one["slow"]), reverse=True)
        return {
            "application": self.application,
            "ready": self.ready,
            "stopping": self.stopping,
            "uptime": round(time.monotonic() - self.began, 1),
            "restarts": self.restarts,
            "rate": rate,
            "recent": _quantiles(recent),
            "duration": _quantiles(total["duration"]),
            "first_byte": _quantiles(total["first_byte"]),
            "loop_lag": _quantiles(total["lag"]),
            "routes": {name: _quantiles(times) for name, times in total["routes"].items()},
            "requests": total["requests"],
            "classes": classes,
            "rejections": total["rejections"],
            "counters": total["counters"],
            "gauges": _gauges(self.workers),
            "workers": [_row(each) for each in self.workers],
            "slowest": [
                dict(zip(("seconds", "at", "method", "path", "status"), each, strict=True))
                for each in slow[:SLOWEST]
            ],
        }

    def _rate_and_recent(self) -> tuple[float, Histogram]:
        if len(self._recent) < 2:
            return 0.0, Histogram()
        then, times_then, served_then = self._recent[0]
        now, times, served = self._recent[-1]
        rate = max(0, served - served_then) / max(0.001, now - then)
        return round(rate, 1), times.since(times_then)


def _summed(snapshots: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of what only grows; histograms packed."""
    made: dict[str, Any] = {name: {} for name in COUNTED}
    times = {name: Histogram() for name in HISTOGRAMS}
    routes: dict[str, Histogram] = {}
    for each in snapshots:
        for name in COUNTED:
            sums = made[name]
            for key, count in each[name].items():
                sums[key] = sums.get(key, 0) + count
        for name, histogram in times.items():
            histogram.add(Histogram.unpacked(each[name]))
        for route, packed in each["routes"].items():
            routes.setdefault(route, Histogram()).add(Histogram.unpacked(packed))
    made.update({name: histogram.packed() for name, histogram in times.items()})
    made["routes"] = {route: histogram.packed() for route, histogram in routes.items()}
    return made


def _gauges(workers: list[dict[str, Any]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in workers:
        for name, value in each["gauges"].items():
            sums[name] = sums.get(name, 0) + value
    return sums


def _quantiles(histogram: Histogram) -> dict[str, float]:
    made = {name: round(histogram.quantile(part), 7) for name, part in QUANTILES.items()}
    return {**made, "count": histogram.count, "sum": round(histogram.total, 6)}


def _row(worker: dict[str, Any]) -> dict[str, Any]:
    duration = Histogram.unpacked(worker["duration"])
    return {
        "number": worker["number"],
        "pid": worker["pid"],
        "draining": worker["draining"],
        "age": round(time.monotonic() - worker["at"], 1),
        "requests": sum(worker["requests"].values()) + worker["counters"]["static"],
        "p99": round(duration.quantile(0.99), 7),
        "lag_p99": round(Histogram.unpacked(worker["lag"]).quantile(0.99), 7),
        "lag": worker.get("late", 0.0),
        "cpu": worker["counters"]["cpu"],
        **{name: worker["counters"].get(name, 0) for name in ("handed", "moved", "kept")},
        **worker["gauges"],
    }
