"""Metrics of one worker: counted by its connections, published once a tick.

A worker under a supervisor publishes over the control channel; alone it keeps a fleet of one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from katana_asgi.asgi.answers import Answers
from katana_asgi.config.metrics_settings import admin_place
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.tunnel import TransportStream
from katana_asgi.http2.connection import Http2Connection
from katana_asgi.observe.statsd import StatsdPush

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.observe.fleet import Fleet
    from katana_asgi.observe.metrics import WorkerMetrics
    from katana_asgi.worker.balancing import Balancer
    from katana_asgi.worker.channel import Channel
    from katana_asgi.worker.server import Server

__all__ = ["Publisher", "snapshot_of"]


def snapshot_of(
    metrics: WorkerMetrics, context: WorkerContext, balancer: Balancer | None
) -> dict[str, Any]:
    """What the worker has counted, and what its connections do now."""
    gauges = dict.fromkeys(("idle", "active", "websocket", "queue", "http2", "streams"), 0)
    gauges["concurrency"] = context.running
    for each in context.clock.watched:
        if isinstance(each, TransportStream):
            gauges["websocket"] += 1
            continue
        if isinstance(each, Http2Connection):
            gauges["http2"] += 1
            gauges["streams"] += each.open_streams
            gauges["websocket"] += each.open_tunnels
        if each.idle_since is not None:
            gauges["idle"] += 1
        else:
            gauges["active"] += 1
            gauges["queue"] += isinstance(each, Http1Connection) and each.queued
    cache = context.routes.cache if isinstance(context.routes, Answers) else None
    gauges["cache_bytes"] = cache.store.weight if cache is not None else 0
    snapshot = metrics.snapshot(gauges, draining=context.draining)
    counts = snapshot["counters"]
    for name in ("hits", "stale_hits", "misses", "collapsed", "bypassed", "stored"):
        counts[f"cache_{name}"] = getattr(cache.counts, name) if cache is not None else 0
    for name in ("handed", "moved", "kept"):
        counts[name] = getattr(balancer, name) if balancer is not None else 0
    snapshot["late"] = round(context.clock.lag, 6)
    return snapshot


class Publisher:
    """Takes a snapshot once a tick and gives it to whoever wants it."""

    def __init__(self, server: Server, channel: Channel | None, fleet: Fleet | None) -> None:
        config = server.config
        self._server = server
        self._channel = channel if config.admin_bind else None
        self._fleet = fleet
        self._statsd: StatsdPush | None = None
        if config.statsd:
            place = admin_place(config.statsd)
            self._statsd = StatsdPush(str(place[0]), int(place[1]), f"worker.{os.getpid()}")

    def start(self) -> None:
        """Publish from now on, once a tick."""
        self.publish()
        self._server.every_tick(self.tick)

    def tick(self) -> None:
        """Note how late the loop was, and publish."""
        if self._server.metrics is not None:
            self._server.metrics.tick(self._server.lag)
        self.publish()

    def publish(self) -> None:
        """Give a snapshot to the supervisor, to the fleet and to StatsD."""
        metrics, context = self._server.metrics, self._server.context
        if metrics is None or context is None:
            return
        snapshot = snapshot_of(metrics, context, self._server.balancer)
        if self._channel is not None:
            self._channel.send({"type": "metrics", "snapshot": snapshot})
        if self._fleet is not None:
            self._fleet.update(os.getpid(), 1, snapshot)
            self._fleet.tick()
        if self._statsd is not None:
            self._statsd.push(metrics, snapshot)

    def close(self) -> None:
        """Publish for the last time."""
        self.publish()
        if self._statsd is not None:
            self._statsd.close()
