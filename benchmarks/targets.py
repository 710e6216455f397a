"""The targets of the design as ratios within one run, and whether a run meets them.

A ratio is taken in each round and its median decides: two turns of one round are neighbours in
time, so what the machine does to one it does to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.distribution import Spread, ratios, spread
from benchmarks.results import METRICS, Run
from benchmarks.servers import PEERS

__all__ = ["TARGETS", "TIMES", "Target", "Verdict", "judge"]

BEST_PEER = "best peer"
WHOLE_CORE = 0.94
"""Of a core: who uses more has no time left."""
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Target:
    """``server`` against another in one scenario: at least ``factor`` times, or at most."""

    scenario: str
    server: str
    against: str
    factor: float
    metric: str = "requests_per_second"

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return METRICS[self.metric].more_is_better

    def holds(self, ratio: float) -> bool:
        """Return whether a ratio meets the target."""
        return ratio >= self.factor if self.at_least else ratio <= self.factor

    def wanted(self) -> str:
        """Return the target in words."""
        return f"{'≥' if self.at_least else '≤'} {self.factor:g} {TIMES} {self.against}"


TARGETS = (
    Target("browser", "katana", "uvicorn", 3.0),
    Target("browser", "katana", "granian", 2.0),
    Target("browser", "katana", "fastpysgi", 2.0),
    Target("plain", "katana", "uvicorn", 2.3),
    Target("plain", "katana", "granian", 1.8),
    Target("varied", "katana", "uvicorn", 2.2),
    Target("varied", "katana", "granian", 1.6),
    Target("echo-1k", "katana", "uvicorn", 2.0),
    Target("echo-64k", "katana", "uvicorn", 2.0),
    Target("churn", "katana", "uvicorn", 3.0),
    Target("churn", "katana", "granian", 1.2),
    Target("static", "katana-static", "bare", 0.85),
    Target("static", "katana-static", "nginx", 0.9),
    Target("fastapi", "katana", "uvicorn", 1.15),
    Target("pipelined", "katana-static", "bare-each", 8.0),
    Target("rate-50", "katana", BEST_PEER, 1.0, "p99"),
    Target("rate-80", "katana", BEST_PEER, 1.0, "p99"),
    Target("access-log", "katana", "uvicorn", 4.0),
    Target("access-log", "katana", "katana-no-log", 0.9),
    Target("idle-1000", "katana", "uvicorn", 1.0, "connection_bytes"),
    Target("idle-10000", "katana", "uvicorn", 1.0, "connection_bytes"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run says of a target; ``ratio`` is ``None`` where it was not measured validly.

    ``cpu`` is how often the CPU time of a request fits into that of the other server: what the
    ratio would be if both had a whole core and the load generator no limit. ``by_cpu`` says that
    it is the ratio, because the load generator was at its limit and our server was not.
    """

    target: Target
    ratio: Spread | None
    cpu: Spread | None = None
    by_cpu: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target."""
        return None if self.ratio is None else self.target.holds(self.ratio.median)


def judge(run: Run) -> list[Verdict]:
    """Return a verdict on every target whose scenario the run has."""
    names = {table.name for table in run.tables}
    return [verdict(run, target) for target in TARGETS if target.scenario in names]


def verdict(run: Run, target: Target) -> Verdict:
    """Return what a run says of one target."""
    cpu = cpu_of(run, target)
    by_cpu = cpu is not None and generator_was_the_limit(run, target)
    return Verdict(target, cpu if by_cpu else ratio_of(run, target), cpu, by_cpu)


def generator_was_the_limit(run: Run, target: Target) -> bool:
    """Return whether the load generator had no time left while our server had."""
    table = run.table(target.scenario)
    row = table.row(target.server) if table else None
    turns = [turn for turn in row.turns if turn.valid and turn.seconds] if row else []
    if not turns:
        return False
    generator = spread([turn.generator_seconds / turn.seconds for turn in turns]).median
    server = spread([turn.cpu_seconds / turn.seconds for turn in turns]).median
    return generator >= WHOLE_CORE > server


def cpu_of(run: Run, target: Target) -> Spread | None:
    """Return the other server's CPU time over our own, for targets of throughput."""
    if target.metric != "requests_per_second":
        return None
    own = figures(run, target.scenario, target.server, "cpu_us")
    found = ratios(figures(run, target.scenario, target.against, "cpu_us"), own)
    return spread(found) if found else None


def ratio_of(run: Run, target: Target) -> Spread | None:
    """Return the ratio of a target over the rounds, or ``None`` without a valid round."""
    own = figures(run, target.scenario, target.server, target.metric)
    if target.against == BEST_PEER:
        other = best(run, target)
    else:
        other = figures(run, target.scenario, target.against, target.metric)
    found = ratios(own, other)
    return spread(found) if found else None


def best(run: Run, target: Target) -> list[float | None]:
    """Return the best figure that any peer has in each round."""
    columns = [figures(run, target.scenario, peer, target.metric) for peer in PEERS]
    choose = max if target.at_least else min
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
    row = table.row(server) if table else None
    return row.figures(metric) if row else []
