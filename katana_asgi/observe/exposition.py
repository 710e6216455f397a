"""Metrics in the text formats of Prometheus and OpenMetrics.

The one module that knows ``prometheus_client``; it is imported only where metrics are asked for.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from katana_asgi.observe.fleet import Fleet
    from katana_asgi.observe.histogram import Histogram

__all__ = ["render"]

PREFIX: Final = "katana_asgi_"

VERSION: Final = version("katana-asgi")

LOWEST, HIGHEST = -14, 6
"""Bounds of the exposed buckets, in powers of two: 61 microseconds to 64 seconds."""

COUNTERS: Final = {
    "static": ("static_responses", "Requests that a static route, memory or the cache answered."),
    "bytes_in": ("received_bytes", "Bytes read from HTTP connections."),
    "bytes_out": ("content_bytes", "Bytes of content that applications sent."),
    "websockets": ("websockets_opened", "WebSockets that were accepted."),
    "cache_hits": ("cache_hits", "Requests that a fresh stored response answered."),
    "cache_stale_hits": ("cache_stale_hits", "Requests that a stale stored response answered."),
    "cache_misses": ("cache_misses", "Requests that the cache passed on to the application."),
    "cache_collapsed": ("cache_collapsed", "Requests that another request's call answered."),
    "cache_bypassed": ("cache_bypassed", "Requests that are none for a cache."),
    "cache_stored": ("cache_stored_responses", "Responses that were stored."),
    "handed": (
        "connections_handed",
        "New connections that were passed on to a worker with less to do.",
    ),
    "moved": ("connections_moved", "Idle connections that were passed on to another worker."),
    "kept": ("connections_kept", "New connections that could not be passed on."),
    "cpu": ("cpu_seconds", "Processor time of the workers."),
    "gc_pauses": ("gc_pauses", "Runs of the garbage collector."),
    "gc_seconds": ("gc_pause_seconds", "Time that the garbage collector took."),
}

GAUGES: Final = {
    "concurrency": ("exchanges", "Calls of the application under way."),
    "queue": ("queued_connections", "Connections with requests that wait for the one before."),
    "http2": ("http2_connections", "Connections that speak HTTP/2."),
    "streams": ("http2_streams", "Requests and WebSockets that are open on them."),
    "cache_bytes": ("cache_bytes", "Memory of the stored responses."),
    "rss": ("resident_memory_bytes", "Resident memory."),
    "descriptors": ("open_descriptors", "Open file descriptors."),
}

STATES: Final = ("idle", "active", "websocket")

TIMES: Final = {
    "duration": ("request_duration_seconds", "From the head to the last byte of the response."),
    "first_byte": ("time_to_first_byte_seconds", "From the head to the first byte."),
    "lag": ("loop_lag_seconds", "How late the event loop was, once a tick."),
}


def render(fleet: Fleet, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that ``accept`` prefers, and its content type."""
    try:
        encoder, content_type = exposition.choose_encoder(accept)
    except (TypeError, ValueError):  # what the library makes of a version that is no number
        encoder, content_type = exposition.choose_encoder("")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Workers(fleet))
    return encoder(registry), content_type


class _Workers(Collector):
    """Families made from one look at the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """All families."""
        fleet = self._fleet
        total = fleet.summed()
        yield from _counters(total)
        yield from _times(total)
        yield from _per_worker(fleet.workers)
        yield CounterMetricFamily(
            f"{PREFIX}worker_restarts", "Workers that died and were replaced.", value=fleet.restarts
        )
        yield GaugeMetricFamily(
            f"{PREFIX}ready", "Whether all workers accept connections.", value=float(fleet.ready)
        )
        yield from _facts(fleet)

    def describe(self) -> Iterator[Metric]:
        """Nothing in advance."""
        return iter(())


def _facts(fleet: Fleet) -> Iterator[Metric]:
    """What does not count anything: version, start, certificates."""
    build = GaugeMetricFamily(
        f"{PREFIX}build_info",
        "Always 1; the labels say what runs.",
        labels=("version", "python", "application"),
    )
    build.add_metric((VERSION, platform.python_version(), fleet.application), 1)
    yield build
    yield GaugeMetricFamily(
        f"{PREFIX}start_time_seconds", "When the service started.", value=fleet.since
    )
    certificates = GaugeMetricFamily(
        f"{PREFIX}certificate_expiry_timestamp_seconds",
        "When the certificate of a host expires; the usual one has no host.",
        labels=("host",),
    )
    for host, moment in fleet.certificates().items():
        certificates.add_metric((host,), moment)
    yield certificates


def _counters(total: dict[str, Any]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        f"{PREFIX}requests",
        "Requests that no static route answered, 499: the client left.",
        labels=("method", "status"),
    )
    for name, count in total["requests"].items():
        method, _, status = name.partition(" ")
        requests.add_metric((method, status), count)
    yield requests
    rejections = CounterMetricFamily(
        f"{PREFIX}rejections", "What the server turned away.", labels=("reason",)
    )
    for reason, count in total["rejections"].items():
        rejections.add_metric((reason,), count)
    yield rejections
    for key, (name, meaning) in COUNTERS.items():
        yield CounterMetricFamily(f"{PREFIX}{name}", meaning, value=total["counters"].get(key, 0))


def _times(total: dict[str, Any]) -> Iterator[Metric]:
    for key, (name, meaning) in TIMES.items():
        family = HistogramMetricFamily(PREFIX + name, meaning)
        _add(family, (), total[key])
        yield family
        quantiles = GaugeMetricFamily(
            f"{PREFIX}{name.removesuffix('_seconds')}_percentile_seconds",
            f"{meaning} Percentiles since start, finer than the buckets.",
            labels=("percentile",),
        )
        for percentile in ("50", "99", "99.9"):
            value = total[key].quantile(float(percentile) / 100)
            quantiles.add_metric((percentile,), value)
        yield quantiles
    if total["routes"]:
        family = HistogramMetricFamily(
            f"{PREFIX}route_duration_seconds", "Durations by allowed route.", labels=("route",)
        )
        for route, histogram in total["routes"].items():
            _add(family, (route,), histogram)
        yield family


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    bounds = histogram.up_to_octaves(LOWEST, HIGHEST)
    buckets = [(repr(bound), float(below)) for bound, below in bounds]
    buckets.append(("+Inf", float(histogram.count)))
    family.add_metric(labels, buckets, histogram.total)


def _per_worker(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    for key, (name, meaning) in GAUGES.items():
        family = GaugeMetricFamily(PREFIX + name, meaning, labels=("worker", "pid"))
        for each in workers:
            labels = (str(each["number"]), str(each["pid"]))
            family.add_metric(labels, each["gauges"].get(key, 0))
        yield family
    late = GaugeMetricFamily(
        f"{PREFIX}worker_loop_lag_seconds",
        "How late the event loop was at the last tick.",
        labels=("worker", "pid"),
    )
    for each in workers:
        late.add_metric((str(each["number"]), str(each["pid"])), each.get("late", 0.0))
    yield late
    connections = GaugeMetricFamily(
        f"{PREFIX}connections", "Open connections.", labels=("worker", "pid", "state")
    )
    for each in workers:
        labels = (str(each["number"]), str(each["pid"]))
        for state in STATES:
            connections.add_metric((*labels, state), each["gauges"].get(state, 0))
    yield connections
