"""Pushes what a worker has counted since the last time to a StatsD server, over UDP.

A datagram that nobody takes is lost, as StatsD has it; the server never waits.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.observe.histogram import Histogram

if TYPE_CHECKING:
    from katana_asgi.observe.metrics import WorkerMetrics

__all__ = ["StatsdPush"]

PREFIX: Final = "katana_asgi"

MAX_DATAGRAM: Final = 1400
"""Bytes that cross an Ethernet in one piece."""

logger = logging.getLogger("katana_asgi.error")


class StatsdPush:
    """Counters as differences, durations as p50 and p99 of the time between (ms), gauges."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._name = name  # of the worker, for gauges, which cannot be summed by themselves
        self._before: dict[str, int | float] = {}
        self._times = Histogram()
        self._sock: socket.socket | None = None
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._sock = socket.socket(family, kind)
            self._sock.setblocking(False)
            self._sock.connect(address)
        except OSError as error:
            logger.error("Cannot push to StatsD at %s:%d: %s", host, port, error)
            self.close()

    def close(self) -> None:
        """Push no more."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def push(self, metrics: WorkerMetrics, snapshot: dict[str, Any]) -> None:
        """Send what has changed since the last push."""
        lines = list(self._changes(snapshot))
        times = Histogram()
        times.add(metrics.whole)
        times.add(metrics.streamed)
        fresh = times.since(self._times)
        self._times = times
        if fresh.count:
            for name, part in (("p50", 0.5), ("p99", 0.99)):
                lines.append(f"{PREFIX}.duration.{name}:{fresh.quantile(part) * 1e3:.3f}|ms")
        for name, value in snapshot["gauges"].items():
            lines.append(f"{PREFIX}.{self._name}.{name}:{value}|g")
        self._send(lines)

    def _changes(self, snapshot: dict[str, Any]) -> list[str]:
        counts: dict[str, int | float] = dict(snapshot["counters"])
        for name, count in snapshot["requests"].items():
            counts[f"requests.{name.replace(' ', '.')}"] = count
        for reason, count in snapshot["rejections"].items():
            counts[f"rejections.{reason}"] = count
        changed = [(name, count - self._before.get(name, 0)) for name, count in counts.items()]
        self._before = counts
        return [f"{PREFIX}.{name}:{change:g}|c" for name, change in changed if change]

    def _send(self, lines: list[str]) -> None:
        if self._sock is None:
            return
        packet = ""
        for line in [*lines, ""]:
            if packet and (not line or len(packet) + len(line) >= MAX_DATAGRAM):
                with suppress(OSError):
                    self._sock.send(packet.encode("ascii"))
                packet = ""
            packet = f"{packet}\n{line}" if packet else line
