"""The commands that inspect a running server: ``status`` and ``top``, as text to be printed."""

from __future__ import annotations

from typing import Any

__all__ = ["duration", "head_of", "summary"]


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def summary(status: dict[str, Any]) -> str:
    """The status in a few lines, and one for each worker."""
    workers = [
        f"worker {each['number']} [{each['pid']}]: {each['requests']} requests, "
        + (f"p99 {duration(each['p99'])}, " if each["p99"] else "")
        + f"{each['rss'] // 2**20} MiB"
        + (", draining" if each["draining"] else "")
        for each in status["workers"]
    ]
    return "\n".join([head_of(status), *workers])


def head_of(status: dict[str, Any]) -> str:
    """The summary without the lines of workers."""
    state = "ready" if status["ready"] else "stopping" if status["stopping"] else "not ready"
    name = status.get("application") or "katana-asgi"
    lines = [
        f"{name}: {state}, up {status['uptime']:.0f} s, {status['restarts']} restarts",
        f"{status['rate']:g} requests/s; recently {_quantiles(status['recent'], 'p50', 'p99')}",
        f"since start {_quantiles(status['duration'], 'p50', 'p99', 'p999')}",
        " ".join(f"{name} {count}" for name, count in sorted(status["classes"].items()))
        or "no responses yet",
    ]
    return "\n".join(lines + _spread(status))


def _spread(status: dict[str, Any]) -> list[str]:
    """How evenly several workers are loaded, and what was done about it."""
    workers = status["workers"]
    if len(workers) < 2:
        return []
    open_connections = [
        sum(each.get(kind, 0) for kind in ("idle", "active", "websocket")) for each in workers
    ]
    calls = [each.get("concurrency", 0) for each in workers]
    lag = max(each.get("lag", 0.0) for each in workers)
    counters = status["counters"]
    told = " ".join(f"{name} {counters.get(name, 0)}" for name in ("handed", "moved", "kept"))
    return [
        f"spread: connections {min(open_connections)}-{max(open_connections)}, "
        f"calls {min(calls)}-{max(calls)}, lag up to {duration(lag)}; {told}"
    ]


def _quantiles(times: dict[str, float], *names: str) -> str:
    if not times["count"]:
        return "no calls of the application"
    shown = {"p999": "p99.9"}
    return ", ".join(f"{shown.get(name, name)} {duration(times[name])}" for name in names)
