"""The scenarios: each row of the target table, and each table of the reference report.

A scenario is one request, one way to load, and the servers that it is asked of. Scenarios of one
group are the columns of one table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.servers import PEERS

__all__ = ["SCENARIOS", "Generator", "Scenario"]

FAN_OUT = (32, 64, 128, 256, 512, 1024)
POOLS = (4, 16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How a scenario loads.

    ``tool`` is ``wrk`` (closed loop, most requests), ``own`` (exact latencies) or ``idle``
    (opens connections and keeps them). ``rate_share`` is an open loop at that share of what
    uvicorn can do at most in the same scenario; ``callers`` and ``reuse`` as in ``loadgen.Load``.
    """

    tool: str = "wrk"
    connections: int = 64
    threads: int = 1
    rate_share: float = 0.0
    callers: int = 0
    reuse: int = 0

    def describe(self) -> str:
        """Return the load in words, for the report."""
        count = f"{self.connections:,} connection{'s' * (self.connections != 1)}"
        if self.tool == "idle":
            return f"{count} open and idle"
        if self.rate_share:
            share = f"{self.rate_share:.0%} of what uvicorn can do"
            return f"{count}, open loop at {share}, latency from the time each request is due"
        if self.callers:
            return f"{self.callers} callers share {count}, each closed after {self.reuse} requests"
        if self.reuse == 1:
            return f"{count} at a time, a new one for each request, closed loop"
        return f"{count}, closed loop, by {'wrk' if self.tool == 'wrk' else 'the own generator'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One table (or column) of the report."""

    name: str
    title: str
    request: str
    servers: tuple[str, ...]
    load: Generator = Generator()
    app: str = "plain"
    workers: int = 1
    access_log: bool = False
    pinned: bool = True
    metric: str = "requests_per_second"
    group: str = ""
    column: str = ""
    axis: str = ""
    quick: tuple[str, ...] = ()
    """The servers that the quick variant asks, where it has the scenario."""


APPS = ("katana", "katana-compiled", *PEERS)
ALL = ("katana", "katana-compiled", "katana-static", *PEERS, "nginx", "bare")
MAIN_PEERS = ("uvicorn", "granian", "fastpysgi")
MAIN = ("katana", "uvicorn", "granian")
ONE = Generator(tool="own", connections=1)


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario, in the order in which a report shows them."""
    yield from throughput()
    yield from latency()
    yield from connections()
    yield from scaling()
    yield from content()
    yield from settings()


def throughput() -> Iterator[Scenario]:
    """What a request costs: traffic that differs first, then repeats."""
    yield Scenario(
        name="proxied",
        title="Behind a balancer: 19 fields, 7 of them new",
        request="proxied",
        servers=(*APPS, "bare"),
        quick=("katana", *MAIN_PEERS),
    )
    yield Scenario(
        name="varied",
        title="Six fields; path, query, cookie and trace new",
        request="varied",
        servers=(*APPS, "bare"),
        quick=("katana", *MAIN_PEERS),
    )
    yield Scenario(
        name="api",
        title="POST of 300 bytes of JSON, past two proxies",
        request="api",
        servers=(*APPS, "bare"),
        quick=("katana", *MAIN_PEERS),
    )
    yield Scenario(
        name="browser",
        title="Twelve browser fields, repeats",
        request="browser",
        servers=(*APPS, "katana-h11", "bare"),
        quick=("katana", *MAIN_PEERS),
    )
    yield Scenario(
        name="plain",
        title="One field, repeats",
        request="plain",
        servers=(*APPS, "bare"),
        quick=("katana", *MAIN_PEERS),
    )
    yield Scenario(
        name="static",
        title="Static route",
        request="plain",
        servers=("katana-static", "nginx", "bare", "uvicorn"),
        quick=("katana-static", "nginx", "bare"),
    )
    yield Scenario(
        name="pipelined",
        title="Static route, 16 requests pipelined",
        request="pipelined",
        servers=("katana-static", "bare-each", "nginx"),
        quick=("katana-static", "bare-each"),
    )


def latency() -> Iterator[Scenario]:
    """One connection as in the reference report, three request sizes, and equal load."""
    yield Scenario(
        name="core",
        title="Core latency, one keep-alive connection",
        request="plain",
        servers=ALL,
        load=ONE,
        metric="p99",
        quick=("katana", "katana-static", "uvicorn", "granian", "bare"),
    )
    for size in ("plain", "medium", "large"):
        yield Scenario(
            name=f"size-{size}",
            title="Request sizes, one keep-alive connection",
            request=size,
            servers=ALL,
            load=ONE,
            metric="p99",
            group="sizes",
            column=size,
            axis="headers",
        )
    for share in (0.5, 0.8):
        yield Scenario(
            name=f"rate-{share * 100:.0f}",
            title=f"Latency at equal load, {share:.0%} of what uvicorn can do",
            request="browser",
            servers=APPS,
            load=Generator(tool="own", rate_share=share),
            metric="p99",
            quick=MAIN if share == 0.5 else (),
        )


def connections() -> Iterator[Scenario]:
    """Connections: many, new ones, shared ones, idle ones."""
    yield Scenario(
        name="churn",
        title="Close-churn: a connection for each request",
        request="closing",
        servers=("katana", "katana-compiled", "katana-static", *PEERS, "nginx", "bare-close"),
        quick=(*MAIN, "bare-close"),
    )
    yield Scenario(
        name="churn-latency",
        title="Close-churn: latency from connect to the whole response",
        request="closing",
        servers=("katana", "katana-static", *PEERS, "nginx", "bare-close"),
        load=Generator(tool="own", connections=8, reuse=1),
        metric="p99",
    )
    for count in FAN_OUT:
        yield Scenario(
            name=f"fan-out-{count}",
            title="Fan-out: keep-alive connections",
            request="plain",
            servers=(*MAIN, "katana-static", "fastpysgi", "nginx", "bare"),
            load=Generator(connections=count),
            group="fan-out",
            column=str(count),
            axis="connections",
        )
    for size in POOLS:
        yield Scenario(
            name=f"pool-{size}",
            title="Connection pool: 64 callers, connections replaced after 100 requests",
            request="medium",
            servers=(*MAIN, "katana-static", "fastpysgi"),
            load=Generator(tool="own", connections=size, callers=64, reuse=100),
            metric="p99",
            group="pool",
            column=str(size),
            axis="connections",
        )
    for count, quick in ((1000, ("katana", "uvicorn")), (10000, ())):
        yield Scenario(
            name=f"idle-{count}",
            title=f"Memory of an idle keep-alive connection, {count:,} open",
            request="browser",
            servers=(*APPS, "nginx"),
            load=Generator(tool="idle", connections=count),
            metric="connection_bytes",
            quick=quick,
        )


def scaling() -> Iterator[Scenario]:
    """Workers from one to as many as there are cores; nothing is pinned."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, cores, *(2**power for power in range(1, cores.bit_length()))})
    for count in counts:
        yield Scenario(
            name=f"workers-{count}",
            title="Worker scalability, servers and load generator on all cores",
            request="browser",
            servers=("katana", "katana-static", "uvicorn", "granian", "fastpysgi", "nginx"),
            load=Generator(connections=128, threads=max(cores // 2, 1)),
            workers=count,
            pinned=False,
            group="workers",
            column=str(count),
            axis="workers",
        )


def content() -> Iterator[Scenario]:
    """Content in both directions, and frameworks."""
    for name, title, quick in (
        ("echo-1k", "POST 1 KiB, echoed", MAIN),
        ("echo-64k", "POST 64 KiB, echoed", ()),
        ("upload-1m", "Upload of 1 MiB", ()),
        ("download-1m", "Download of 1 MiB", ()),
    ):
        count = 64 if name == "echo-1k" else 16
        load = Generator(connections=count)
        yield Scenario(name=name, title=title, request=name, servers=APPS, load=load, quick=quick)
    yield Scenario(
        name="fastapi",
        title="FastAPI, a JSON endpoint",
        request="item",
        servers=APPS,
        app="fastapi",
        quick=("katana", "uvicorn"),
    )
    yield Scenario(
        name="starlette",
        title="Starlette, a plain-text route",
        request="browser",
        servers=APPS,
        app="starlette",
    )


def settings() -> Iterator[Scenario]:
    """Production settings."""
    yield Scenario(
        name="access-log",
        title="Access log on for all, written to a file",
        request="browser",
        servers=("katana", "katana-json-log", "katana-no-log", *PEERS),
        access_log=True,
        quick=("katana", "katana-no-log", "uvicorn"),
    )
    yield Scenario(
        name="metrics",
        title="Metrics on and off",
        request="browser",
        servers=("katana", "katana-metrics"),
    )
    yield Scenario(
        name="unpinned",
        title="ASGI application, browser headers, no pinning: servers may use every core",
        request="browser",
        servers=APPS,
        pinned=False,
    )


SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in scenarios()}
