"""Puts the tables of a stored run into the documents, each between its two markers.

``python -m benchmarks publish RESULT`` writes the CPU time of requests into README.md and what
the run says of the targets into docs/performance.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.deployment import ROOT
from benchmarks.distribution import ratios, spread
from benchmarks.report import NOTHING, cell, grid, targets_table
from benchmarks.targets import TIMES

if TYPE_CHECKING:
    from benchmarks.results import Run, Table

__all__ = ["between_markers", "cpu_times", "how_measured", "publish"]

SERVERS = ("katana", "katana-compiled", "uvicorn", "granian", "fastpysgi")
"""Columns, where the run has them."""

OURS = ("katana", "katana-static")
"""Whose figure stands in the first column: the first that the scenario has."""


def publish(run: Run) -> list[str]:
    """Change the documents; returns their names."""
    readme = f"{how_measured(run)}\n\n{cpu_times(run)}"
    for name, section in (("README.md", readme), ("docs/performance.md", targets_table(run))):
        path = ROOT / name
        path.write_text(between_markers(path.read_text(), "benchmark", section))
    return ["README.md", "docs/performance.md"]


def between_markers(text: str, name: str, section: str) -> str:
    """Return ``text`` with ``section`` between its markers of that name.

    Raises ``ValueError`` where they are not both there.
    """
    start, end = f"<!-- {name}:start -->\n", f"<!-- {name}:end -->\n"
    before, begun, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"no markers named {name!r}")
    return f"{before}{start}{section}\n{end}{after}"


def how_measured(run: Run) -> str:
    """Return what the figures are and the command that made them."""
    facts = run.machine
    versions = facts.get("packages", {})
    peers = [f"{name} {versions[name]}" for name in ("uvloop", *SERVERS) if name in versions]
    kind = "virtual cores" if facts.get("virtual") else "cores"
    return (
        "Microseconds of CPU time (user and system, all threads) that a server spends on one "
        "request; less is better.\n"
        "One process each, access log off unless a row says on, the servers taking turns, "
        f"medians of {run.rounds} rounds of {run.seconds:g} s.\n"
        f"Made on {run.started[:10]} on {facts.get('cores')} {kind} with "
        f"{', '.join((str(facts.get('python')), *peers))} by\n\n"
        f"```sh\n{run.command}\n```"
    )


def cpu_times(run: Run) -> str:
    """Return the table of CPU times, with the ratio to each peer."""
    tables = [table for table in run.tables if table.metric == "requests_per_second"]
    present = {row.server for table in tables for row in table.rows if row.spread("cpu_us")}
    columns = [name for name in SERVERS if name in present]
    peers = [name for name in columns if not name.startswith("katana")]
    heads = [name.replace("katana", "katana-asgi") for name in columns]
    head = ("scenario", *heads, *(f"{TIMES} {name}" for name in peers))
    rows = []
    for table in tables:
        own = next((name for name in OURS if table.row(name)), "")
        cells = [_time(table, own if name == "katana" else name) for name in columns]
        rows.append((table.title, *cells, *(_ratio(table, own, name) for name in peers)))
    return grid(head, rows)


def _time(table: Table, server: str) -> str:
    row = table.row(server)
    return NOTHING if row is None else cell(row, "cpu_us", ".1f", ranged=False)


def _ratio(table: Table, own: str, peer: str) -> str:
    ours, theirs = table.row(own), table.row(peer)
    if ours is None or theirs is None:
        return NOTHING
    found = ratios(theirs.figures("cpu_us"), ours.figures("cpu_us"))
    return f"{spread(found).median:.2f}" if found else NOTHING
