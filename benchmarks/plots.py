"""Draws a run with matplotlib: throughput and latency bars, latency distribution, fan-out curve.

Each plot is written as SVG and PNG. A server has the same colour in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import Run, Table
from benchmarks.servers import SERVERS

__all__ = ["draw"]

BARS = ("proxied", "fastapi", "api", "varied", "browser", "plain", "churn", "access-log")
COLOURS = mpl.color_sequences["tab20"]
KATANA = "#c1121f"


def draw(run: Run, directory: Path) -> list[str]:
    """Draw every plot that the run has figures for; return the names of the SVG files."""
    # Text stays text, and nothing in a file depends on when it was drawn.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "katana-asgi", "font.size": 9})
    plots: dict[str, Callable[[Run], Figure | None]] = {
        "throughput": throughput,
        "cpu": cpu,
        "latency": latency,
        "distribution": distribution,
        "fan-out": fan_out,
    }
    names = []
    for name, plot in plots.items():
        figure = plot(run)
        if figure is None:
            continue
        stem = f"{run.variant}-{name}"
        figure.savefig(directory / f"{stem}.svg", metadata={"Date": None})
        figure.savefig(directory / f"{stem}.png", dpi=150)
        names.append(f"{stem}.svg")
    return names


def colour(server: str) -> Any:
    """Return a server's colour: red for katana-asgi, another for each other."""
    return KATANA if server == "katana" else COLOURS[list(SERVERS).index(server) % 20]


def throughput(run: Run) -> Figure | None:
    """Requests a second by scenario."""
    return bars(run, "requests_per_second", "requests per second, one server process")


def cpu(run: Run) -> Figure | None:
    """CPU time of a request by scenario."""
    return bars(run, "cpu_us", "CPU µs per request, all processes and threads (less is better)")


def bars(run: Run, metric: str, title: str) -> Figure | None:
    """Return one panel of horizontal bars for each scenario."""
    tables = [table for name in BARS if (table := run.table(name)) and _known(table, metric)]
    if not tables:
        return None
    columns = min(2, len(tables))
    lines = -(-len(tables) // columns)
    figure = Figure(figsize=(5.4 * columns, 0.6 + 2.6 * lines), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for panel, table in zip(axes, tables, strict=False):
        _bars(panel, table, metric)
    for panel in axes[len(tables) :]:
        panel.axis("off")
    return figure


def _bars(panel: Any, table: Table, metric: str) -> None:
    known = [(row.server, found) for row in table.rows if (found := row.spread(metric))]
    names = [server for server, _ in known][::-1]
    medians = [found.median for _, found in known][::-1]
    below = [found.median - found.low for _, found in known][::-1]
    above = [found.high - found.median for _, found in known][::-1]
    panel.barh(names, medians, color=[colour(name) for name in names], xerr=[below, above])
    for position, (name, median) in enumerate(zip(names, medians, strict=True)):
        shade = "white" if name == "katana" else "black"
        panel.text(0, position, f" {median:,.0f}", va="center", color=shade, fontweight="bold")
    panel.set_title(table.title, fontsize=9)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panel.spines[["top", "right"]].set_visible(False)


def latency(run: Run) -> Figure | None:
    """p50, p99 and p99.9 of one connection and of equal load, on a logarithmic scale."""
    tables = [table for name in ("core", "rate-50", "rate-80") if (table := run.table(name))]
    tables = [table for table in tables if any(row.latency for row in table.rows)]
    if not tables:
        return None
    figure = Figure(figsize=(9, 0.6 + 2.8 * len(tables)), layout="constrained")
    for panel, table in zip(figure.subplots(len(tables), squeeze=False)[:, 0], tables, strict=True):
        rows = [row for row in table.rows if row.latency]
        for offset, (name, shade) in enumerate((("p50", 0.45), ("p99", 0.7), ("p99.9", 1.0))):
            panel.bar(
                [index + 0.26 * (offset - 1) for index in range(len(rows))],
                [row.latency[name] for row in rows],
                width=0.24,
                color=[colour(row.server) for row in rows],
                alpha=shade,
            )
        panel.set_xticks(range(len(rows)), [row.server for row in rows], rotation=15)
        panel.set_yscale("log")
        panel.set_ylabel("µs: p50, p99, p99.9")
        panel.set_title(table.title, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def distribution(run: Run) -> Figure | None:
    """The share of requests that took longer than a time, both on logarithmic scales."""
    tables = [table for name in ("rate-50", "rate-80", "core") if (table := run.table(name))]
    tables = [table for table in tables if any(row.curve for row in table.rows)]
    if not tables:
        return None
    figure = Figure(figsize=(5.4 * len(tables), 4), layout="constrained")
    for panel, table in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables, strict=True):
        for row in table.rows:
            points = [(value, 1 - share) for value, share in row.curve if share < 1]
            if points:
                values, rest = zip(*points, strict=True)
                panel.plot(values, rest, label=row.server, color=colour(row.server))
        panel.set(xscale="log", yscale="log", xlabel="latency µs", ylabel="share that took longer")
        panel.set_title(table.title, fontsize=9)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    return figure


def fan_out(run: Run) -> Figure | None:
    """Requests a second over the number of connections."""
    tables = [table for table in run.tables if table.group == "fan-out"]
    if not tables:
        return None
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    panel = figure.subplots()
    for server in dict.fromkeys(row.server for table in tables for row in table.rows):
        points = _points(tables, server)
        if points:
            counts, medians = zip(*points, strict=True)
            panel.plot(counts, medians, marker="o", label=server, color=colour(server))
    panel.set_xscale("log", base=2)
    panel.set_xticks([int(table.column) for table in tables], [table.column for table in tables])
    panel.set(xlabel="keep-alive connections", ylabel="requests per second", title=tables[0].title)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    return figure


def _points(tables: Sequence[Table], server: str) -> list[tuple[int, float]]:
    rows = [(int(table.column), table.row(server)) for table in tables]
    return [
        (count, found.median)
        for count, row in rows
        if row is not None and (found := row.spread("requests_per_second"))
    ]


def _known(table: Table, metric: str) -> bool:
    return any(row.spread(metric) for row in table.rows)
