"""Renders a run as Markdown: the machine, the targets, then a table for each scenario.

Whoever reads it must be able to doubt it: ranges beside medians, errors and what was skipped in
the open, the CPU time of the server beside the requests that the load generator counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.distribution import ratios, spread
from benchmarks.results import METRICS, Row, Run, Table, Turn
from benchmarks.servers import SERVERS
from benchmarks.targets import FLAT, FLAT_ENOUGH, TIMES, flatness, judge

__all__ = ["markdown", "verdicts"]

REFERENCE = "uvicorn"
FLATNESS = (
    "CPU µs of a request of each kind, measured in the same rounds, and the dearest over the "
    f"cheapest; at most {FLAT_ENOUGH} is the target of katana-asgi."
)
DISTURBED = 0.05
"""Share of the server's core that other processes may take before a row says so."""
NOTHING = "\N{EN DASH}"
PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9", "max", "iqr")
THROUGHPUT = (
    "server",
    "req/s",
    f"{TIMES} {REFERENCE}",
    "CPU µs/request",
    "cores",
    "p50 µs",
    "p99 µs",
    "",
)


def markdown(run: Run, plots: Sequence[str] = ()) -> str:
    """Return the whole report; ``plots`` are file names of images beside it."""
    parts = [f"# Benchmark report, {run.variant} variant", preamble(run), machine(run)]
    if judge(run):
        parts += ["## Targets", verdicts(run)]
    parts += [f"![{_alt(name)}]({name})" for name in plots]
    shown: set[str] = set()
    for table in run.tables:
        if not table.group:
            parts += [f"## {table.title}", section(table)]
        elif table.group not in shown:
            shown.add(table.group)
            members = [other for other in run.tables if other.group == table.group]
            parts += [f"## {table.title}", group(members)]
    if run.micro:
        parts += ["## In memory", micro(run)]
    parts += [emitted(run), notes(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def preamble(run: Run) -> str:
    """Return what was run and how to read it."""
    cores = "nothing was pinned"
    if run.server_cores and run.load_cores:
        cores = f"servers ran on core {run.server_cores}, the load generator on {run.load_cores}"
    return (
        f"Made by `{run.command}` on {run.started}, in {run.took / 60:.0f} minutes.\n"
        f"{run.rounds} round{'s' * (run.rounds != 1)} of {run.seconds:g} s; the servers took turns "
        f"in each round; {cores} unless a table says otherwise.\n"
        "A figure is the median of the rounds with its least and most; a ratio is the median of "
        "the ratios of each round.\n"
        "CPU is user and system time of all processes and threads of the server, divided by its "
        "requests; a ratio by CPU does not depend on the load generator or on how much of a core "
        "the server got.\n"
        "Targets of throughput are judged by CPU; req/s must not fall short by more than a tenth "
        "where the load generator had time left.\n"
        "One server process unless a table says otherwise; access log off for all unless a table "
        "says otherwise."
    )


def machine(run: Run) -> str:
    """Return the machine and the versions as a table."""
    facts = run.machine
    if not facts:
        return ""
    virtual = ", virtual" if facts.get("virtual") else ""
    packages = {**facts.get("packages", {}), **facts.get("tools", {})}
    rows = [
        ("processor", f"{facts.get('processor')}, {facts.get('cores')} cores{virtual}"),
        ("memory", f"{facts.get('memory_gib')} GiB"),
        ("system", facts.get("system")),
        ("Python", f"{facts.get('python')}, {facts.get('compiler')}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]
    shared = [group for group in facts.get("siblings", ()) if not group.isdigit()]
    if shared:
        rows.append(("threads of one core", f"{'; '.join(shared)}: pinning does not part them"))
    return "## Machine\n\n" + grid(("", ""), rows)


def verdicts(run: Run) -> str:
    """Return the targets and how flat the cost of a request is."""
    parts = [targets_table(run)]
    if flatness(run):
        parts += ["Flatness: " + FLATNESS, flatness_table(run)]
    return "\n\n".join(parts)


def targets_table(run: Run) -> str:
    """Return the targets, what the run says of each, and whether it is met."""
    rows = []
    for verdict in judge(run):
        target, ratio = verdict.target, verdict.ratio
        table = run.table(target.scenario)
        title = table.title if table else target.scenario
        server = "" if target.server == "katana" else f" ({target.server})"
        metric = "CPU" if target.metric == "cpu_us" else METRICS[target.metric].title
        requests = NOTHING
        if verdict.requests:
            requests = f"{verdict.requests.median:.2f}" + " (at its limit)" * verdict.limited
        measured, met = "not measured", ""
        if ratio is not None:
            measured = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            met = "**no**" if not verdict.met else "wanted" if verdict.reached else "yes"
        rows.append((title + server, metric, target.words(), measured, requests, met))
    return grid(("scenario", "figure", "target", "ratio", "by req/s", "met"), rows)


def flatness_table(run: Run) -> str:
    """Return what each kind of request costs each server, and the dearest over the cheapest."""
    rows = []
    for flat in flatness(run):
        ratio = f"{flat.ratio.median:.2f} ({flat.ratio.low:.2f} to {flat.ratio.high:.2f})"
        met = ("yes" if flat.met else "**no**") if flat.server == "katana" else ""
        rows.append((flat.server, *(f"{flat.times[kind]:.1f}" for kind in FLAT), ratio, met))
    return grid(("server", *FLAT, "dearest / cheapest", "met"), rows)


def section(table: Table) -> str:
    """Return the table of one scenario."""
    if table.metric == "connection_bytes":
        body = grid(("server", "bytes for each connection", ""), map(memory_row, table.rows))
    elif table.metric == "p99":
        head = ("server", "req/s", *PERCENTILES, "CPU µs/request", "")
        body = grid(head, map(latency_row, table.rows))
    else:
        body = grid(THROUGHPUT, (throughput_row(table, row) for row in table.rows))
    return f"{_sentence(table.load)}{_unit(table)}\n\n{body}"


def throughput_row(table: Table, row: Row) -> Sequence[str]:
    """Return requests a second with ratio, CPU and wrk's latency."""
    return (
        row.server,
        cell(row, "requests_per_second"),
        ratio_cell(table, row),
        cell(row, "cpu_us", ".1f"),
        f"{cores(row):.2f}" if cores(row) is not None else NOTHING,
        cell(row, "p50", ranged=False),
        cell(row, "p99", ranged=False),
        remark(row),
    )


def latency_row(row: Row) -> Sequence[str]:
    """Return the whole distribution of a server, from the samples of all rounds together."""
    exact = row.latency or {name: _median(row, name) for name in PERCENTILES}
    return (
        row.server,
        cell(row, "requests_per_second", ranged=False),
        *(f"{value:,.0f}" if (value := exact.get(name)) else NOTHING for name in PERCENTILES),
        cell(row, "cpu_us", ".1f", ranged=False),
        remark(row),
    )


def memory_row(row: Row) -> Sequence[str]:
    """Return what a connection costs."""
    return (row.server, cell(row, "connection_bytes"), remark(row))


def group(tables: Sequence[Table]) -> str:
    """Return one table with a column for each scenario, for each figure that matters."""
    first = tables[0]
    servers = list(dict.fromkeys(row.server for table in tables for row in table.rows))
    figures = ["requests_per_second", "cpu_us"]
    if first.metric == "p99":
        figures = ["p50", "p99", "requests_per_second"]
    head = (first.axis, *(table.column for table in tables))
    parts = []
    for metric in figures:
        cells = [[member(table, server, metric) for table in tables] for server in servers]
        title = {"p50": "p50 µs"}.get(metric) or METRICS[metric].title
        rows = [(server, *line) for server, line in zip(servers, cells, strict=True)]
        parts.append(f"{title}:\n\n" + grid(head, rows))
    if first.group == "workers":
        cells = [[scaling(tables, table, server) for table in tables] for server in servers]
        rows = [(server, *line) for server, line in zip(servers, cells, strict=True)]
        parts.append("times the figure with one worker:\n\n" + grid(head, rows))
    remarks = [
        f"- {row.server}, {table.column}: {remark(row)}"
        for table in tables
        for row in table.rows
        if remark(row)
    ]
    load = first.load.replace(f"{first.column} connection", "N connection")
    return "\n\n".join([_sentence(load), *parts, *(["\n".join(remarks)] if remarks else [])])


def member(table: Table, server: str, metric: str) -> str:
    """Return a server's cell in a grouped table."""
    row = table.row(server)
    if row is None:
        return NOTHING
    if metric.startswith("p") and metric in row.latency:
        return f"{row.latency[metric]:,.0f}"
    return cell(row, metric, ".1f" if metric == "cpu_us" else ",.0f", ranged=False)


def scaling(tables: Sequence[Table], table: Table, server: str) -> str:
    """Return how often the figure of one worker a server reaches."""
    base, row = tables[0].row(server), table.row(server)
    if base is None or row is None:
        return NOTHING
    metric = "requests_per_second"
    found = ratios(row.figures(metric), base.figures(metric))
    return f"{spread(found).median:.2f}" if found else NOTHING


def cell(row: Row, metric: str, form: str = ",.0f", ranged: bool = True) -> str:
    """Return a median, with its range where there is one."""
    found = row.spread(metric)
    if found is None:
        return NOTHING
    text = format(found.median, form)
    if ranged and found.low != found.high:
        text += f" ({format(found.low, form)} to {format(found.high, form)})"
    return text


def ratio_cell(table: Table, row: Row) -> str:
    """Return the ratio to the reference server."""
    other = table.row(REFERENCE)
    if other is None:
        return NOTHING
    found = ratios(row.figures(table.metric), other.figures(table.metric))
    return f"{spread(found).median:.2f}" if found else NOTHING


def cores(row: Row) -> float | None:
    """Return how many cores the server used while it was loaded."""
    used = [turn.cpu_seconds / turn.seconds for turn in row.turns if turn.valid and turn.seconds]
    return spread(used).median if used else None


def remark(row: Row) -> str:
    """Return what makes a row doubtful, or nothing."""
    parts = []
    if row.skipped:
        parts.append(f"skipped: {row.skipped}".replace("|", "/"))
    if row.errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(row.errors.items()))
        parts.append(f"**invalid**: errors: {kinds}")
    others = spread([turn.others / turn.seconds for turn in row.turns if turn.seconds] or [0.0])
    if others.median > DISTURBED:
        parts.append(f"disturbed: other processes took {others.median:.0%} of the server's core")
    if any(behind(turn) for turn in row.turns):
        parts.append("could not keep up with the rate")
    turns = [turn for turn in row.turns if turn.log_lines is not None and turn.requests]
    logged = [(turn.log_lines or 0) / turn.requests for turn in turns]
    if logged:
        parts.append(f"{spread(logged).median:.2f} log lines/request")
    return "; ".join(parts)


def behind(turn: Turn) -> bool:
    """Return whether an open loop completed less than 99 % of what it offered."""
    return bool(turn.offered) and turn.requests < 0.99 * turn.offered * turn.seconds


def micro(run: Run) -> str:
    """Return what requests cost in memory."""
    rows = [(item["name"], f"{item['least']:.2f}", f"{item['median']:.2f}") for item in run.micro]
    return grid(("request", "least µs", "median µs"), rows)


def emitted(run: Run) -> str:
    """Return which fields each server sends with the greeting, since their heads differ."""
    heads: dict[str, tuple[int, list[str]]] = {}
    for table in run.tables:
        for row in table.rows:
            if row.head_bytes and table.name != "pipelined":
                heads.setdefault(row.server, (row.head_bytes, row.head_fields))
    if not heads:
        return ""
    rows = [(name, str(size), ", ".join(fields)) for name, (size, fields) in heads.items()]
    return "## Response heads\n\n" + grid(("server", "bytes", "fields"), rows)


def notes(run: Run) -> str:
    """Return what to know about the servers, and what was skipped."""
    names = {row.server for table in run.tables for row in table.rows}
    lines = [f"- {name}: {SERVERS[name].note}." for name in SERVERS if name in names]
    lines = [line for line in lines if not line.endswith(": .")]
    lines += [f"- {name}: {reason}." for name, reason in sorted(run.notes.items())]
    return "## Notes\n\n" + "\n".join(lines) if lines else ""


def grid(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; a last column without content is left out."""
    body = [[str(cell) for cell in row] for row in rows]
    columns = len(head)
    if not head[-1] and len(head) > 2 and not any(row[-1] for row in body):
        columns -= 1
    # Figures are read by their last digit: the columns after the first are aligned to it.
    rule = ["---:" if column and head[column] else "---" for column in range(columns)]
    lines = [list(head[:columns]), rule, *(row[:columns] for row in body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _median(row: Row, metric: str) -> float:
    found = row.spread(metric)
    return found.median if found else 0.0


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _unit(table: Table) -> str:
    return " Latencies in microseconds." if table.metric == "p99" else ""


def _alt(name: str) -> str:
    return name.rsplit(".", 1)[0].replace("-", " ")
