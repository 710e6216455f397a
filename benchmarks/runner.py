"""Runs scenarios: servers take turns in each round, so that all meet the same machine.

A, B, C, A, B, C: what a noisy neighbour or a clock does to one round it does to all of its
turns. Scenarios of one block share their rounds, so that they can be compared with each other.
The quick variant keeps servers running, the others start each of them afresh in each round.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import http2
from benchmarks.deployment import Deployment, NotServing, Settings, app_missing
from benchmarks.distribution import curve, summary
from benchmarks.loads import LoadFailed, Shot, have_wrk, run
from benchmarks.messages import DIFFERENT, REQUESTS
from benchmarks.results import METRICS, Row, Table, Turn
from benchmarks.scenarios import Generator, Scenario
from benchmarks.servers import SERVERS, Server
from benchmarks.targets import asked

__all__ = ["Plan", "Runner", "Variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How long and how often: ``fresh`` starts a server for each round."""

    name: str
    rounds: int
    seconds: float
    warm_up: float
    fresh: bool
    about: str


VARIANTS = {
    "quick": Variant(
        name="quick",
        rounds=3,
        seconds=1,
        warm_up=0.2,
        fresh=False,
        about="the main scenarios in six minutes",
    ),
    "targets": Variant(
        name="targets",
        rounds=5,
        seconds=2,
        warm_up=0.5,
        fresh=True,
        about="what the targets need, and all that publish writes into the documents",
    ),
    "full": Variant(
        name="full",
        rounds=5,
        seconds=2,
        warm_up=0.5,
        fresh=True,
        about="every scenario with every server",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs to know."""

    variant: Variant
    scenarios: Sequence[Scenario]
    servers: Sequence[str] = ()
    """Only these, where given."""
    server_cores: str = ""
    load_cores: str = ""
    raw: Path | None = None
    say: Callable[[str], None] = print


@dataclass(frozen=True, slots=True)
class Course:
    """A scenario while it is measured: its rate, and latencies of each server in nanoseconds."""

    scenario: Scenario
    rate: float
    table: Table
    samples: dict[str, array[int]]


@dataclass(slots=True)
class Runner:
    """Runs a plan; ``notes`` collects why a server or a tool did not take part."""

    plan: Plan
    notes: dict[str, str] = field(default_factory=dict)
    running: dict[tuple[str, Settings], Deployment] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    def run(self) -> list[Table]:
        """Run every scenario; always stops every server that it started."""
        if not have_wrk():
            self.notes["wrk"] = "not installed: the slower own generator takes its place"
            self.plan.say("wrk is not installed: the slower own generator takes its place")
        chosen = [(scenario, self.contenders(scenario)) for scenario in self.plan.scenarios]
        chosen = [(scenario, names) for scenario, names in chosen if names]
        self.total = sum(len(names) * self.rounds(scenario) for scenario, names in chosen)
        blocks: dict[str, list[tuple[Scenario, list[str]]]] = {}
        for scenario, names in chosen:
            blocks.setdefault(scenario.block or scenario.name, []).append((scenario, names))
        try:
            tables = {table.name: table for each in blocks.values() for table in self.block(each)}
        finally:
            self.stop_all()
        return [tables[scenario.name] for scenario, _ in chosen]

    def rounds(self, scenario: Scenario) -> int:
        """Return the rounds of a scenario: memory hardly varies, one is enough for a quick look."""
        one = scenario.load.tool == "idle" and self.plan.variant.name == "quick"
        return 1 if one else self.plan.variant.rounds

    def contenders(self, scenario: Scenario) -> list[str]:
        """Return the servers of a scenario that can take part here."""
        names = []
        reason = app_missing(scenario.app)
        if reason:
            self.notes[scenario.app] = reason
            return []
        if scenario.http2 and (reason := http2.missing()):
            self.notes["HTTP/2"] = reason
            return []
        for name in self.wanted(scenario):
            server = SERVERS[name]
            if (scenario.access_log and not server.logs) or (
                scenario.workers > 1 and not server.scales
            ):
                continue
            missing = server.missing()
            if missing is None:
                names.append(name)
            elif name not in self.notes:
                self.notes[name] = missing
                self.plan.say(f"{name}: skipped, {missing}")
        return names

    def wanted(self, scenario: Scenario) -> list[str]:
        """Return the servers of a scenario that the plan has."""
        if self.plan.servers:
            return [name for name in scenario.servers if name in self.plan.servers]
        if self.plan.variant.name == "targets":
            return asked(scenario)
        quick = self.plan.variant.name == "quick"
        return list(scenario.quick or scenario.servers if quick else scenario.servers)

    def block(self, scenarios: Sequence[tuple[Scenario, list[str]]]) -> list[Table]:
        """Measure scenarios together, round by round."""
        if any(scenario.load.tool == "idle" for scenario, _ in scenarios):
            self.stop_all()  # a heap that was larger before hides what connections need
        courses = [self.course(scenario, names) for scenario, names in scenarios]
        fresh = self.plan.variant.fresh or any(scenario.access_log for scenario, _ in scenarios)
        for number in range(max(self.rounds(scenario) for scenario, _ in scenarios)):
            for course in courses:
                self.round(course, number)
            if fresh:
                self.stop_all()
        for course in courses:
            for row in course.table.rows:
                if samples := course.samples[row.server]:
                    ordered = sorted(value / 1000 for value in samples)
                    row.latency, row.curve = summary(ordered), curve(ordered)
        return [course.table for course in courses]

    def round(self, course: Course, number: int) -> None:
        """Give each server of a scenario one turn."""
        scenario, table = course.scenario, course.table
        if not number or scenario.block:
            self.plan.say(f"\n{scenario.title}{f' ({scenario.column})' if scenario.column else ''}")
        for row in table.rows:
            self.done += 1
            if not row.skipped:
                self.turn(scenario, row, course.rate, number, course.samples[row.server])

    def course(self, scenario: Scenario, names: list[str]) -> Course:
        """Return a scenario that is about to be measured."""
        rate = self.rate(scenario)
        samples = {name: array("Q") for name in names}
        return Course(scenario, rate, self.table(scenario, names, rate), samples)

    def table(self, scenario: Scenario, names: list[str], rate: float) -> Table:
        """Return the empty table of a scenario."""
        return Table(
            name=scenario.name,
            title=scenario.title,
            metric=scenario.metric,
            load=scenario.load.describe() + (f" ({rate:,.0f} requests/s)" if rate else ""),
            group=scenario.group,
            column=scenario.column,
            axis=scenario.axis,
            rows=[Row(name) for name in names],
        )

    def turn(
        self, scenario: Scenario, row: Row, rate: float, number: int, samples: array[int]
    ) -> None:
        """Give one server its turn; a failure is kept in its row, the run goes on."""
        try:
            deployment = self.deployment(scenario, SERVERS[row.server])
            row.head_bytes, row.head_fields = deployment.check(REQUESTS[scenario.request])
            turn, more = self.measure(scenario, deployment, rate, number)
        except (NotServing, LoadFailed) as error:
            row.skipped = self.death_of(row.server) or str(error)
            self.plan.say(f"  {row.server:<15} skipped: {row.skipped}")
            return
        finally:
            if SERVERS[row.server].polls:
                self.stop_named(row.server)
        samples.extend(more)
        row.turns.append(turn)
        self.plan.say(self.progress(row.server, number, turn, scenario.metric))

    def measure(
        self, scenario: Scenario, deployment: Deployment, rate: float, number: int
    ) -> tuple[Turn, array[int]]:
        """Warm the server up, then load it."""
        shot = self.shot(scenario, rate)
        if scenario.http2:
            run(replace(shot, seconds=1), deployment)
        elif scenario.load.tool != "idle":
            # The own generator warms up: wrk cannot run for less than a second.
            warm_up = replace(scenario.load, tool="own", connections=8, callers=0)
            seconds = self.plan.variant.warm_up
            if scenario.request != "pipelined":
                # With other requests: those of the turn must be as new as they claim to be.
                other = replace(shot, generator=warm_up, rate=0.0, first=DIFFERENT // 2)
                run(replace(other, seconds=seconds), deployment)
        lines = deployment.log_lines() if scenario.access_log else 0
        raw = self.raw(f"{scenario.name}-{deployment.server.name}-{number + 1}")
        turn, samples = run(replace(shot, raw=raw), deployment)
        if scenario.access_log:
            # A server may write its log a little later; katana and others write in batches.
            time.sleep(1.2)
            turn.log_lines = deployment.log_lines() - lines
        return turn, samples

    def shot(self, scenario: Scenario, rate: float = 0.0) -> Shot:
        """Return the load of a scenario."""
        return Shot(
            generator=scenario.load,
            request=REQUESTS[scenario.request],
            seconds=self.plan.variant.seconds,
            rate=rate,
            cores=self.plan.load_cores if scenario.pinned else "",
        )

    def rate(self, scenario: Scenario) -> float:
        """Return the constant rate of an open loop: a share of what uvicorn can do here, now."""
        share = scenario.load.rate_share
        if not share or SERVERS["uvicorn"].missing():
            return 20_000 * share
        flood = replace(scenario, load=Generator())
        deployment = self.deployment(flood, SERVERS["uvicorn"])
        turn, _ = run(self.shot(flood), deployment)
        rate = round((turn.figure("requests_per_second") or 20_000) * share, -2)
        self.plan.say(f"  at {rate:,.0f} requests/s")
        return rate

    def deployment(self, scenario: Scenario, server: Server) -> Deployment:
        """Return the running server of a scenario, started where it is not running yet."""
        settings = Settings(
            app=scenario.app if server.runs_apps else "plain",
            workers=scenario.workers,
            access_log=scenario.access_log,
            http2=scenario.http2,
            cores=self.plan.server_cores if scenario.pinned else "",
        )
        key = (server.name, settings)
        if key not in self.running:
            deployment = Deployment(server, settings)
            self.running[key] = deployment
            deployment.start()
        return self.running[key]

    def death_of(self, name: str) -> str:
        """Return how a server ended under load, or nothing; forget it, so that it starts anew."""
        endings = [d.ending() for (other, _), d in self.running.items() if other == name]
        if not any(endings):
            return ""
        self.stop_named(name)
        return next(filter(None, endings))

    def stop_named(self, name: str) -> None:
        """Stop what runs of one server."""
        for key in [key for key in self.running if key[0] == name]:
            self.running.pop(key).stop()

    def stop_all(self) -> None:
        """Stop every server."""
        while self.running:
            _, deployment = self.running.popitem()
            deployment.stop()

    def raw(self, name: str) -> Callable[[str], None]:
        """Return a function that keeps a load generator's output under a name."""

        def keep(text: str) -> None:
            if self.plan.raw is not None:
                self.plan.raw.mkdir(parents=True, exist_ok=True)
                (self.plan.raw / f"{name}.txt").write_text(text)

        return keep

    def progress(self, server: str, number: int, turn: Turn, metric: str) -> str:
        """Return the line that is shown after a turn."""
        parts = [f"  [{self.done:>3}/{self.total}] round {number + 1} {server:<15}"]
        for name in dict.fromkeys((metric, "requests_per_second", "cpu_us")):
            figure = turn.figure(name)
            if figure is not None:
                parts.append(f"{figure:>10,.1f} {METRICS[name].title}")
        if turn.errors:
            parts.append(f"INVALID {turn.errors}")
        return "  ".join(parts)
