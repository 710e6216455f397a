"""The targets of the design as ratios within one run, and whether a run meets them.

A ratio is taken in each round and its median decides: two turns of one round are neighbours in
time, so what the machine does to one it does to the other. Throughput is judged by the CPU time
of a request, which does not depend on the load generator; requests a second must not contradict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.distribution import Spread, ratios, spread
from benchmarks.results import METRICS, Run
from benchmarks.servers import PEERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.scenarios import Scenario

__all__ = [
    "FLAT",
    "FLAT_ENOUGH",
    "RIVALS",
    "TARGETS",
    "TIMES",
    "Flatness",
    "Target",
    "Verdict",
    "asked",
    "flatness",
    "judge",
]

BEST_PEER = "best peer"
WHOLE_CORE = 0.94
"""Of a core: who uses more has no time left."""
CONTRADICTION = 0.9
"""Requests a second may fall short of a target by this much where CPU time meets it."""
TIMES = "\N{MULTIPLICATION SIGN}"
RIVALS = ("uvicorn", "granian", "fastpysgi", "peregrine", "h2corn")
"""The peers that a table of targets has a column for."""
FLAT = ("plain", "browser", "varied", "proxied")
"""Scenarios whose requests differ in nothing but what is parsed."""
FLAT_ENOUGH = 1.4


@dataclass(frozen=True, slots=True)
class Target:
    """``server`` against another in one scenario: at least ``must`` times, or at most.

    ``wanted`` is what is aimed at beyond that, where it is more.
    """

    scenario: str
    server: str
    against: str
    must: float
    wanted: float | None = None
    metric: str = "cpu_us"

    @property
    def at_least(self) -> bool:
        """Whether a larger ratio is better: of CPU times it is the other's over our own."""
        return self.metric == "cpu_us" or METRICS[self.metric].more_is_better

    def holds(self, ratio: float, factor: float | None = None) -> bool:
        """Return whether a ratio meets the target, or another factor in its place."""
        factor = self.must if factor is None else factor
        ratio = round(ratio, 9)  # 0.3 / 0.1 is no 3
        return ratio >= factor if self.at_least else ratio <= factor

    def words(self) -> str:
        """Return the target in words."""
        sign = "≥" if self.at_least else "≤"
        more = f", wanted {self.wanted:g}" if self.wanted else ""
        return f"{sign} {self.must:g} {TIMES} {self.against}{more}"


def row(scenario: str, *factors: tuple[float, float] | None) -> list[Target]:
    """Return the targets of katana-asgi against each of ``RIVALS`` in one scenario."""
    return [
        Target(scenario, "katana", rival, *pair)
        for rival, pair in zip(RIVALS, factors, strict=True)
        if pair
    ]


TARGETS = (
    *row("proxied", (2.3, 3.0), (1.3, 1.7), (1.2, 1.5), (0.7, 1.0), (1.1, 1.4)),
    Target("proxied", "katana-pure", "uvicorn", 1.5),
    *row("fastapi", (1.3, 1.6), (1.2, 1.5), (1.25, 1.5), None, None),
    *row("api", (2.0, 2.6), (2.0, 2.6), (1.8, 2.4), (0.7, 1.0), (1.1, 1.5)),
    *row("varied", (1.9, 2.3), (1.3, 1.6), (1.1, 1.3), (0.7, 1.0), (1.05, 1.25)),
    *row("browser", (2.4, 3.0), (1.5, 2.0), (1.4, 1.8), (0.85, 1.1), (1.2, 1.5)),
    *row("plain", (2.0, 2.5), (1.5, 1.9), (1.35, 1.6), (0.75, 1.0), (1.1, 1.3)),
    *row("churn", (2.1, 3.0), (1.1, 1.3), None, (0.8, 1.0), (1.1, 1.3)),
    Target("static", "katana-static", "bare", 0.95),
    Target("static-proxied", "katana-static", "bare", 0.75),
    Target("pipelined", "katana-static", "bare-each", 8.0),
    Target("access-log", "katana", "katana-no-log", 0.88),
    Target("access-log", "katana", "uvicorn", 3.0),
    Target("observed", "katana-metrics", "katana", 0.9),
    Target("observed", "katana-request-ids", "katana", 0.9),
    Target("echo-1k", "katana", "uvicorn", 2.0),
    Target("echo-64k", "katana", "uvicorn", 2.0),
    Target("http2-1", "katana", "hypercorn", 4.0),
    Target("http2-1", "katana", "granian", 1.0),
    Target("http2-32", "katana", "hypercorn", 4.0),
    Target("http2-32", "katana", "granian", 1.3),
    Target("rate-50", "katana", BEST_PEER, 1.0, metric="p99"),
    Target("rate-80", "katana", BEST_PEER, 1.0, metric="p99"),
    Target("idle-1000", "katana", "uvicorn", 0.34, metric="connection_bytes"),
    Target("idle-10000", "katana", "uvicorn", 0.34, metric="connection_bytes"),
)


def asked(scenario: Scenario) -> list[str]:
    """Return the servers of a scenario that its targets or the tables of the documents need."""
    needed = {
        name
        for target in TARGETS
        if target.scenario == scenario.name
        for name in (target.server, target.against)
    }
    if scenario.http2:
        return list(scenario.servers)
    return [name for name in scenario.servers if needed and name in needed | {*RIVALS, "bare"}]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run says of a target; ``ratio`` is ``None`` where it was not measured validly.

    For throughput ``ratio`` is how often the CPU time of our request fits into that of the other
    server, and ``requests`` the ratio of requests a second; it is ``limited`` where the load
    generator had no time left for one of the two, so that it says nothing.
    """

    target: Target
    ratio: Spread | None
    requests: Spread | None = None
    limited: bool = False

    @property
    def contradicted(self) -> bool:
        """Whether requests a second fall short of what CPU time promises."""
        if self.requests is None or self.limited:
            return False
        return self.requests.median < CONTRADICTION * self.target.must

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target."""
        if self.ratio is None:
            return None
        return self.target.holds(self.ratio.median) and not self.contradicted

    @property
    def reached(self) -> bool:
        """Whether the median meets what is wanted beyond the target."""
        wanted = self.target.wanted
        return bool(
            self.met and wanted and self.ratio and self.target.holds(self.ratio.median, wanted)
        )


def judge(run: Run) -> list[Verdict]:
    """Return a verdict on every target whose scenario the run has."""
    names = {table.name for table in run.tables}
    return [verdict(run, target) for target in TARGETS if target.scenario in names]


def verdict(run: Run, target: Target) -> Verdict:
    """Return what a run says of one target."""
    own = figures(run, target.scenario, target.server, target.metric)
    if target.against == BEST_PEER:
        other = best(run, target)
    else:
        other = figures(run, target.scenario, target.against, target.metric)
    if target.metric != "cpu_us":
        return Verdict(target, _spread(ratios(own, other)))
    limited = any(
        generator_was_the_limit(run, target.scenario, name)
        for name in (target.server, target.against)
    )
    requests = ratios(
        figures(run, target.scenario, target.server, "requests_per_second"),
        figures(run, target.scenario, target.against, "requests_per_second"),
    )
    return Verdict(target, _spread(ratios(other, own)), _spread(requests), limited)


def generator_was_the_limit(run: Run, scenario: str, server: str) -> bool:
    """Return whether the load generator had no time left in a server's turns."""
    table = run.table(scenario)
    found = table.row(server) if table else None
    shares = [
        turn.generator_seconds / turn.seconds
        for turn in (found.turns if found else [])
        if turn.valid and turn.seconds
    ]
    return bool(shares) and spread(shares).median >= WHOLE_CORE


def best(run: Run, target: Target) -> list[float | None]:
    """Return the best figure that any peer has in each round."""
    columns = [figures(run, target.scenario, peer, target.metric) for peer in PEERS]
    choose = max if METRICS[target.metric].more_is_better else min
    rounds = max((len(column) for column in columns), default=0)
    result: list[float | None] = []
    for number in range(rounds):
        cells = [column[number] for column in columns if number < len(column)]
        known = [cell for cell in cells if cell is not None]
        result.append(choose(known) if known else None)
    return result


def figures(run: Run, scenario: str, server: str, metric: str) -> list[float | None]:
    """Return the figures of a server by round; none where it did not take part."""
    table = run.table(scenario)
    found = table.row(server) if table else None
    return found.figures(metric) if found else []


@dataclass(frozen=True, slots=True)
class Flatness:
    """What the dearest kind of request costs a server beside its cheapest.

    ``times`` are CPU microseconds of ``FLAT``, each the median of the rounds; ``ratio`` is that
    of the dearest to the cheapest of them in each round.
    """

    server: str
    times: dict[str, float]
    ratio: Spread

    @property
    def met(self) -> bool:
        """Whether it is as flat as the project asks of its own server."""
        return self.ratio.median <= FLAT_ENOUGH


def flatness(run: Run) -> list[Flatness]:
    """Return the flatness of each server that the run has in all of ``FLAT``."""
    table = run.table(FLAT[0])
    found = []
    for name in [row.server for row in table.rows] if table else []:
        columns = {kind: figures(run, kind, name, "cpu_us") for kind in FLAT}
        known = {kind: [value for value in column if value] for kind, column in columns.items()}
        if not all(known.values()):
            continue
        times = {kind: spread(values).median for kind, values in known.items()}
        dearest, cheapest = max(times, key=times.__getitem__), min(times, key=times.__getitem__)
        ratio = _spread(ratios(columns[dearest], columns[cheapest]))
        if ratio is not None:
            found.append(Flatness(name, times, ratio))
    return found


def _spread(values: Sequence[float]) -> Spread | None:
    return spread(list(values)) if values else None
