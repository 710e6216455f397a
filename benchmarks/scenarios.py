"""The scenarios: each row of the target table, and each table of the reference report.

A scenario is one kind of request, one way to load, and the servers that it is asked of. Scenarios
of one group are the columns of one table. Traffic that differs comes first: repeats are what load
generators send, and a server may be fast at them alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.servers import PEERS

__all__ = ["SCENARIOS", "Generator", "Scenario"]

FAN_OUT = (32, 64, 128, 256, 512, 1024)
POOLS = (4, 16, 64)
STREAMS = (1, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How a scenario loads.

    ``tool`` is ``wrk`` (closed loop, most requests), ``own`` (exact latencies), ``h2load``
    (HTTP/2, ``streams`` at a time) or ``idle`` (opens connections and keeps them).
    ``rate_share`` is an open loop at that share of what uvicorn can do at most in the same
    scenario; ``callers`` and ``reuse`` as in ``loadgen.Load``.
    """

    tool: str = "wrk"
    connections: int = 64
    threads: int = 1
    rate_share: float = 0.0
    callers: int = 0
    reuse: int = 0
    streams: int = 1

    def describe(self) -> str:
        """Return the load in words, for the report."""
        count = f"{self.connections:,} connection{'s' * (self.connections != 1)}"
        if self.tool == "idle":
            return f"{count} open and idle"
        if self.tool == "h2load":
            return f"{count} of HTTP/2, {self.streams} at a time on each, closed loop, by h2load"
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
    block: str = ""
    """Scenarios of one block are measured in the same rounds and can be compared."""
    group: str = ""
    column: str = ""
    axis: str = ""
    quick: tuple[str, ...] = ()
    """The servers that the quick variant asks, where it has the scenario."""

    @property
    def http2(self) -> bool:
        """Whether it is asked over HTTP/2."""
        return self.load.tool == "h2load"


APPS = ("katana", *PEERS)
RIVALS = ("uvicorn", "granian", "fastpysgi", "peregrine", "h2corn")
"""The peers that the targets name."""
MAIN = ("katana", *RIVALS)
FEW = ("katana", "uvicorn", "granian", "peregrine")
ONE = Generator(tool="own", connections=1)


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario, in the order in which a report shows them."""
    yield from different()
    yield from repeats()
    yield from connections()
    yield from content()
    yield from settings()
    yield from http2()
    yield from latency()
    yield from scaling()


def different() -> Iterator[Scenario]:
    """What a request costs where no two are alike: as traffic is."""
    yield Scenario(
        name="proxied",
        title="Behind a balancer: 19 fields, 7 of them new",
        request="proxied",
        servers=(*APPS, "granian-proxied", "katana-httptools", "katana-h11", "katana-pure", "bare"),
        block="kinds",
        quick=MAIN,
    )
    yield Scenario(
        name="fastapi",
        title="FastAPI: an item as JSON, behind a balancer",
        request="item",
        servers=(*APPS, "granian-proxied"),
        app="fastapi",
        quick=MAIN,
    )
    yield Scenario(
        name="api",
        title="POST of 300 bytes of JSON, past two proxies",
        request="api",
        servers=(*APPS, "granian-proxied", "bare"),
        quick=MAIN,
    )
    yield Scenario(
        name="varied",
        title="Six fields; path, query, cookie and trace new",
        request="varied",
        servers=(*APPS, "katana-httptools", "bare"),
        block="kinds",
        quick=MAIN,
    )
    yield Scenario(
        name="static-proxied",
        title="Static route, behind a balancer",
        request="proxied-static",
        servers=("katana-static", "nginx", "bare"),
        quick=("katana-static", "nginx", "bare"),
    )
    yield Scenario(
        name="starlette",
        title="Starlette: a plain-text route, behind a balancer",
        request="proxied-static",
        servers=APPS,
        app="starlette",
    )


def repeats() -> Iterator[Scenario]:
    """The same bytes again and again: what a load generator sends and no clients do."""
    yield Scenario(
        name="browser",
        title="Repeats: 12 browser fields",
        request="browser",
        servers=(*APPS, "bare"),
        block="kinds",
        quick=MAIN,
    )
    yield Scenario(
        name="plain",
        title="Repeats: one field",
        request="plain",
        servers=(*APPS, "katana-httptools", "bare"),
        block="kinds",
        quick=MAIN,
    )
    yield Scenario(
        name="static",
        title="Repeats: static route",
        request="plain",
        servers=("katana-static", "nginx", "bare", "uvicorn"),
        quick=("katana-static", "nginx", "bare"),
    )
    yield Scenario(
        name="pipelined",
        title="Repeats: static route, 16 requests pipelined",
        request="pipelined",
        servers=("katana-static", "bare-each", "nginx"),
        quick=("katana-static", "bare-each"),
    )


def connections() -> Iterator[Scenario]:
    """Connections: new ones, many, shared ones, idle ones."""
    yield Scenario(
        name="churn",
        title="Churn: a connection for each request",
        request="closing",
        servers=("katana", "katana-static", *PEERS, "nginx", "bare-close"),
        quick=(*FEW, "h2corn", "bare-close"),
    )
    yield Scenario(
        name="churn-latency",
        title="Churn: latency from connect to the whole response",
        request="closing",
        servers=("katana", "katana-static", *PEERS, "nginx", "bare-close"),
        load=Generator(tool="own", connections=8, reuse=1),
        metric="p99",
    )
    for count in FAN_OUT:
        yield Scenario(
            name=f"fan-out-{count}",
            title="Fan-out: keep-alive connections, behind a balancer",
            request="proxied",
            servers=(*MAIN, "nginx", "bare"),
            load=Generator(connections=count),
            group="fan-out",
            column=str(count),
            axis="connections",
        )
    for size in POOLS:
        yield Scenario(
            name=f"pool-{size}",
            title="Connection pool: 64 callers, connections replaced after 100 requests",
            request="proxied",
            servers=MAIN,
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
            request="proxied",
            servers=(*APPS, "nginx"),
            load=Generator(tool="idle", connections=count),
            metric="connection_bytes",
            quick=quick,
        )


def content() -> Iterator[Scenario]:
    """Content in both directions."""
    for name, title, quick in (
        ("echo-1k", "POST 1 KiB, echoed", MAIN),
        ("echo-64k", "POST 64 KiB, echoed", ()),
        ("upload-1m", "Upload of 1 MiB", ()),
        ("download-1m", "Download of 1 MiB", ()),
    ):
        count = 64 if name == "echo-1k" else 16
        load = Generator(connections=count)
        yield Scenario(name=name, title=title, request=name, servers=APPS, load=load, quick=quick)


def settings() -> Iterator[Scenario]:
    """What production settings cost, on the traffic that they meet."""
    yield Scenario(
        name="access-log",
        title="Access log on for all, behind a balancer",
        request="proxied",
        servers=("katana", "katana-json-log", "katana-no-log", *PEERS),
        access_log=True,
        quick=("katana", "katana-no-log", "uvicorn", "peregrine"),
    )
    yield Scenario(
        name="observed",
        title="Metrics on, request ids on, both off; behind a balancer",
        request="proxied",
        servers=("katana", "katana-metrics", "katana-request-ids"),
    )
    yield Scenario(
        name="unpinned",
        title="Behind a balancer, no pinning: servers may use every core",
        request="proxied",
        servers=APPS,
        pinned=False,
    )


def http2() -> Iterator[Scenario]:
    """HTTP/2 without TLS, one stream and many on each connection."""
    for streams in STREAMS:
        yield Scenario(
            name=f"http2-{streams}",
            title="HTTP/2: browser fields, path and trace new",
            request="browsing",
            servers=("katana", "granian", "hypercorn", "h2corn", "peregrine", "uvicorn-zttp-h2"),
            load=Generator(tool="h2load", connections=32, streams=streams),
            group="http2",
            column=str(streams),
            axis="streams at a time",
        )


def latency() -> Iterator[Scenario]:
    """One connection, and equal load."""
    yield Scenario(
        name="core",
        title="Core latency: one keep-alive connection, behind a balancer",
        request="proxied",
        servers=(*APPS, "nginx", "bare"),
        load=ONE,
        metric="p99",
    )
    for share in (0.5, 0.8):
        yield Scenario(
            name=f"rate-{share * 100:.0f}",
            title=f"Latency at equal load, {share:.0%} of what uvicorn can do",
            request="proxied",
            servers=APPS,
            load=Generator(tool="own", rate_share=share),
            metric="p99",
            quick=FEW if share == 0.5 else (),
        )


def scaling() -> Iterator[Scenario]:
    """Workers from one to as many as there are cores; nothing is pinned."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, cores, *(2**power for power in range(1, cores.bit_length()))})
    for count in counts:
        yield Scenario(
            name=f"workers-{count}",
            title="Worker scalability, servers and load generator on all cores",
            request="proxied",
            servers=(*MAIN, "nginx"),
            load=Generator(connections=128, threads=max(cores // 2, 1)),
            workers=count,
            pinned=False,
            group="workers",
            column=str(count),
            axis="workers",
        )


SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in scenarios()}
