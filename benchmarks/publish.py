"""Puts the tables of a stored run into the documents, each between its two markers.

``python -m benchmarks publish RESULT`` writes the CPU time of requests into README.md, and what
the run says of the targets and of HTTP/2 into docs/performance.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.deployment import ROOT
from benchmarks.distribution import ratios, spread
from benchmarks.report import NOTHING, cell, grid, group, verdicts
from benchmarks.targets import RIVALS, TIMES, flatness

if TYPE_CHECKING:
    from benchmarks.results import Run, Table

__all__ = ["between_markers", "cpu_times", "how_measured", "publish"]

SERVERS = ("katana", *RIVALS)
"""Columns, where the run has them."""

PACKAGES = {"peregrine": "peregrine-server"}
"""The packages of servers that have another name."""

OURS = ("katana", "katana-static")
"""Whose figure stands in the first column: the first that the scenario has."""


def publish(run: Run) -> list[str]:
    """Change the documents; returns their names."""
    readme, performance = ROOT / "README.md", ROOT / "docs/performance.md"
    texts = {readme: readme.read_text(), performance: performance.read_text()}
    texts[readme] = between_markers(
        texts[readme], "benchmark", f"{how_measured(run)}\n\n{cpu_times(run)}"
    )
    texts[performance] = between_markers(
        texts[performance], "benchmark", f"{how_measured(run)}\n\n{verdicts(run)}"
    )
    tables = [table for table in run.tables if table.group == "http2"]
    if tables:
        texts[performance] = between_markers(texts[performance], "http2", group(tables))
    for path, text in texts.items():
        path.write_text(text)
    return [str(path.relative_to(ROOT)) for path in texts]


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
    names = ["uvloop", *(PACKAGES.get(name, name) for name in SERVERS)]
    peers = [f"{name} {versions[name]}" for name in names if name in versions]
    kind = "virtual cores" if facts.get("virtual") else "cores"
    return (
        "Microseconds of CPU time (user and system, all threads) that a server spends on one "
        "request; less is better.\n"
        "One process each, pinned to one core, the load generator on another; access log off "
        "unless a row says on; the servers taking turns, "
        f"medians of {run.rounds} rounds of {run.seconds:g} s.\n"
        f"Made on {run.started[:10]} on {facts.get('cores')} {kind} with "
        f"{', '.join((str(facts.get('python')), *peers))} by\n\n"
        f"```sh\n{run.command}\n```"
    )


def cpu_times(run: Run) -> str:
    """Return the table of CPU times, each peer's with its ratio to our own in the same rounds."""
    tables = [t for t in run.tables if t.metric == "requests_per_second" and not t.group]
    present = {row.server for table in tables for row in table.rows if row.spread("cpu_us")}
    columns = [name for name in SERVERS if name in present]
    rows = []
    for table in tables:
        own = next((name for name in OURS if table.row(name)), "")
        cells = [_time(table, own), *(_beside(table, own, name) for name in columns[1:])]
        if any(each != NOTHING for each in cells):
            rows.append((table.title, *cells))
    flat = {each.server: f"{each.ratio.median:.2f}" for each in flatness(run)}
    if flat:
        title = "Dearest over cheapest of the kinds of GET"
        rows.append((title, *(flat.get(name, NOTHING) for name in columns)))
    return grid(("scenario", *(name.replace("katana", "katana-asgi") for name in columns)), rows)


def _time(table: Table, server: str) -> str:
    row = table.row(server)
    return NOTHING if row is None else cell(row, "cpu_us", ".1f", ranged=False)


def _beside(table: Table, own: str, peer: str) -> str:
    ours, theirs = table.row(own), table.row(peer)
    if ours is None or theirs is None:
        return NOTHING
    found = ratios(theirs.figures("cpu_us"), ours.figures("cpu_us"))
    return f"{_time(table, peer)} ({spread(found).median:.2f}{TIMES})" if found else NOTHING
