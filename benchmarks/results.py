"""What a run measured, as plain data: written as JSON beside the report, read back to render it.

A ``Turn`` is one server under one load for a few seconds; a ``Row`` is its turns of all rounds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.distribution import Spread, spread

__all__ = ["METRICS", "Metric", "Row", "Run", "Table", "Turn", "load", "save"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a turn: how it is headed, and whether more of it is better."""

    title: str
    more_is_better: bool = True


METRICS: dict[str, Metric] = {
    "requests_per_second": Metric("req/s"),
    "cpu_us": Metric("CPU µs/request", more_is_better=False),
    "p99": Metric("p99 µs", more_is_better=False),
    "connection_bytes": Metric("bytes/connection", more_is_better=False),
}


@dataclass(slots=True)
class Turn:
    """One server's turn in one round.

    ``cpu_seconds`` is the server's CPU time, ``generator_seconds`` the load generator's;
    ``latency`` is in microseconds by percentile; ``offered`` is the rate of an open loop;
    ``unsent`` its requests that never found a free connection; ``log_lines`` what the server
    wrote; ``others`` the CPU seconds that other processes took of the server's cores meanwhile.
    ``errors`` holds kinds that happened; any of them makes the turn invalid.
    """

    requests: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    generator_seconds: float = 0.0
    bytes: int = 0
    offered: float = 0.0
    unsent: int = 0
    connections: int = 0
    connection_bytes: float | None = None
    log_lines: int | None = None
    threads: int = 0
    others: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether every request got the right answer."""
        return not self.errors and (self.requests > 0 or self.connection_bytes is not None)

    def figure(self, metric: str) -> float | None:
        """Return one of ``METRICS``, or ``None`` where this turn has no valid one."""
        if not self.valid:
            return None
        if metric == "requests_per_second":
            return self.requests / self.seconds if self.seconds else None
        if metric == "cpu_us":
            return self.cpu_seconds / self.requests * 1e6 if self.requests else None
        if metric == "connection_bytes":
            return self.connection_bytes
        return self.latency.get(metric)


@dataclass(slots=True)
class Row:
    """A server in a scenario.

    ``skipped`` says why there are no turns; ``latency`` and ``curve`` (microseconds) are taken
    from the samples of all rounds together, where the generator keeps samples.
    """

    server: str
    turns: list[Turn] = field(default_factory=list)
    skipped: str = ""
    latency: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)
    head_bytes: int = 0
    head_fields: list[str] = field(default_factory=list)

    def figures(self, metric: str) -> list[float | None]:
        """Return the figure of each round."""
        return [turn.figure(metric) for turn in self.turns]

    def spread(self, metric: str) -> Spread | None:
        """Return median and range over the valid rounds, or ``None`` without one."""
        values = [value for value in self.figures(metric) if value is not None]
        return spread(values) if values else None

    @property
    def errors(self) -> dict[str, int]:
        """The errors of all rounds by kind."""
        total: dict[str, int] = {}
        for turn in self.turns:
            for kind, count in turn.errors.items():
                total[kind] = total.get(kind, 0) + count
        return total


@dataclass(slots=True)
class Table:
    """A scenario's results; tables of one ``group`` are columns of one larger table.

    ``axis`` says what the columns of the group are.
    """

    name: str
    title: str
    metric: str
    load: str
    group: str = ""
    column: str = ""
    axis: str = ""
    rows: list[Row] = field(default_factory=list)

    def row(self, server: str) -> Row | None:
        """Return the row of a server, or ``None``."""
        return next((row for row in self.rows if row.server == server), None)


@dataclass(slots=True)
class Run:
    """One whole run of the suite."""

    variant: str
    started: str
    command: str
    rounds: int
    seconds: float
    server_cores: str
    load_cores: str
    machine: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    micro: list[dict[str, Any]] = field(default_factory=list)
    took: float = 0.0

    def table(self, name: str) -> Table | None:
        """Return the table of a scenario, or ``None``."""
        return next((table for table in self.tables if table.name == name), None)


def save(run: Run, path: Path) -> None:
    """Write a run as JSON."""
    path.write_text(json.dumps({"schema": SCHEMA, **asdict(run)}, indent=1) + "\n")


def load(path: Path) -> Run:
    """Read a run. Raises ``ValueError`` for a file of another schema."""
    data = json.loads(path.read_text())
    if data.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path.name} is not a result of schema {SCHEMA}")
    data["tables"] = [_table(table) for table in data["tables"]]
    return Run(**data)


def _table(data: dict[str, Any]) -> Table:
    return Table(**{**data, "rows": [_row(row) for row in data["rows"]]})


def _row(data: dict[str, Any]) -> Row:
    turns = [Turn(**turn) for turn in data["turns"]]
    curve = [(float(value), float(share)) for value, share in data["curve"]]
    return Row(**{**data, "turns": turns, "curve": curve})
