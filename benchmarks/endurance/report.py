"""What a run has found: faults, and the figures beside them, as Markdown."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.distribution import percentile
from benchmarks.endurance.disturbances import EXTRA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.endurance.outcomes import Outcomes
    from benchmarks.endurance.service import Sample

__all__ = ["Course", "SiteReport", "faults_of", "left_over", "render", "unexpected"]

GROWTH: Final = 1.25
"""What the median of memory may grow between the second quarter of a run and the last: workers are
replaced all the time, and have as much as their connections of the moment need."""

LONG_ENOUGH: Final = 240.0
"""Seconds of a run of which the quarters say something about memory."""

SUPERVISOR_GROWTH: Final = 8 * 2**20
"""Bytes by which the supervisor's memory may differ at the end from the beginning."""

EXPECTED: Final = (
    r"Worker \d+ \[\d+\] died \(SIGKILL\) after .* s; (replacing it |worker \d+ \[\d+\] takes)",
    r"Worker \d+ \[\d+\] failed to start: SIGKILL; ",
    r"Worker \d+ \[\d+\] ended \(SIGKILL\)",
    r"The supervisor did not run for ",
    r"The last worker stays",
    r"Worker \d+ \[\d+\] says nothing: its event loop is blocked",  # stopped, and a busy machine
    r"Cancelling \d+ running requests",  # of slow clients: what a good one loses is counted
)
"""Warnings and errors that follow from what is done, and are right to be there."""

NEVER: Final = re.compile(
    r"Traceback|never awaited|unclosed|Warning|Exception ignored|was destroyed|never retrieved"
    r"|A fault of |Fatal Python|Segmentation"
)

LEVEL: Final = re.compile(r"(?:\d[\d:.,TZ+ -]* )?([A-Z]+):")
"""The begin of a line of the log, behind its time."""

FULL_LINE: Final = re.compile(rb'^\S+ - "[A-Z]+ \S+ HTTP/(1\.[01]|2)" \d{3}|^\S+ - \S')


@dataclass
class Course:
    """How a service was over time: samples as (seconds, processes), and reads of metrics."""

    samples: list[tuple[float, list[Sample]]] = field(default_factory=list)
    start: list[Sample] = field(default_factory=list)
    middle: list[Sample] = field(default_factory=list)
    end: list[Sample] = field(default_factory=list)
    metrics: Counter[str] = field(default_factory=Counter)
    late: float = 0.0  # seconds for which the clients did not run, at most


@dataclass
class SiteReport:
    """All about one service; ``faults`` are those that were noticed on the way."""

    name: str
    outcomes: Outcomes
    course: Course
    done: Counter[str]
    lines: list[str]
    access_lines: list[bytes]
    crowds: dict[str, dict[str, Any]]
    faults: list[str]


def unexpected(lines: Iterable[str]) -> list[str]:
    """Lines of a log that should not be there."""
    found = []
    for line in lines:
        begin = LEVEL.match(line)
        level = begin[1] if begin else ""
        loud = level in ("WARNING", "ERROR", "CRITICAL") and not any(
            re.search(pattern, line) for pattern in EXPECTED
        )
        if loud or (level != "INFO" and NEVER.search(line)):
            found.append(line)
    return found


def faults_of(site: SiteReport, seconds: float) -> list[str]:
    """What was not as promised."""
    outcomes = site.outcomes
    faults = list(site.faults)
    if count := outcomes.wrong.total():
        faults.append(f"{count} wrong answers")
    if count := outcomes.lost.total():
        faults.append(f"{count} requests lost, of which no worker was killed")
    if not outcomes.right:
        faults.append("no right answer")
    faults += outcomes.faults
    faults += [f"in the log: {line[:200]}" for line in unexpected(site.lines)[:20]]
    faults += [f"in the access log: {line[:80]!r}" for line in broken(site.access_lines)[:5]]
    faults += left_over(site.course)
    if seconds >= LONG_ENOUGH:
        faults += _grown(site.course.samples)
    faults += [f"metrics: {what}" for what in site.course.metrics if what.startswith("not")]
    return [f"{site.name}: {fault}" for fault in faults]


def broken(lines: Iterable[bytes]) -> list[bytes]:
    """Lines of the access log that are not whole."""
    return [line for line in lines if not FULL_LINE.match(line)]


def left_over(course: Course) -> list[str]:
    """Descriptors and memory that are still there once all clients have gone.

    A slot that was taken away leaves its sockets to the first one.
    """
    faults = []
    for sample in course.end:
        kind = sample.role.split()[0]
        before = [each.descriptors for each in course.start if each.role.split()[0] == kind]
        spare = 4 * EXTRA
        if before and sample.descriptors > max(before) + spare:
            now = f"{sample.descriptors} descriptors at the end, {max(before)} at the start"
            faults.append(f"{sample.role} [{sample.pid}]: {now}")
        memory = [each.memory for each in course.start if each.role == sample.role]
        if sample.role == "supervisor" and sample.memory > max(memory) + SUPERVISOR_GROWTH:
            faults.append(f"the supervisor's memory grew by {_mib(sample.memory - max(memory))}")
    return faults


def _grown(samples: list[tuple[float, list[Sample]]]) -> list[str]:
    """Whether the memory of workers is flat."""
    quarter = len(samples) // 4
    medians = []
    for part in (samples[quarter : 2 * quarter], samples[-quarter:]):
        workers = [each for _, row in part for each in row if each.role.startswith("worker")]
        medians.append(statistics.median(each.memory for each in workers))
    early, late = medians
    if late <= early * GROWTH:
        return []
    return [f"the memory of workers grew from {_mib(early)} to {_mib(late)}"]


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"


# -- as text


def render(sites: list[SiteReport], seconds: float, seed: int, faults: list[str]) -> str:
    """The report."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    right = sum(site.outcomes.right.total() for site in sites)
    parts = [
        f"# {seconds / 60:.1f} minutes of endurance\n",
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}, "
        f"seed {seed}.\n",
        f"{right} right answers; faults: {len(faults)}.\n",
        *[f"- {fault}" for fault in faults],
    ]
    for site in sites:
        parts += [f"\n## {site.name}\n", *_answers(site.outcomes), *_service(site)]
    return "\n".join(parts) + "\n"


def _answers(outcomes: Outcomes) -> list[str]:
    kinds = sorted(
        {
            *outcomes.right,
            *outcomes.wrong,
            *outcomes.lost,
            *outcomes.killed,
            *outcomes.late,
            *outcomes.again,
        }
    )
    rows = [
        "| requests | right | wrong | lost | lost with a killed worker | lost by late clients "
        "| to be sent again | p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    columns = (
        outcomes.right,
        outcomes.wrong,
        outcomes.lost,
        outcomes.killed,
        outcomes.late,
        outcomes.again,
    )
    for kind in kinds:
        figures = [str(column[kind]) for column in columns]
        rows.append(_row([kind, *figures, *_times(outcomes.times[kind])]))
    together = [time for times in outcomes.times.values() for time in times]
    rows.append(_row(["all", *[str(each.total()) for each in columns], *_times(together)]))
    return rows


def _times(times: Iterable[float]) -> list[str]:
    ordered = sorted(times)
    if not ordered:
        return ["", ""]
    return [f"{percentile(ordered, percent) * 1000:.1f} ms" for percent in (50, 99)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _service(site: SiteReport) -> list[str]:
    started = sum("Started worker" in line for line in site.lines)
    retired = sum(" retires after " in line for line in site.lines)
    metrics = ", ".join(f"{what} {count}" for what, count in sorted(site.course.metrics.items()))
    done = ", ".join(f"{what} {count}" for what, count in sorted(site.done.items()))
    strange = len(unexpected(site.lines))
    rows = [
        f"\nDone: {done or 'nothing'}.",
        f"Workers started: {started}, recycled: {retired}.",
        f"Log: {len(site.lines)} lines, {strange} that should not be there; access log: "
        f"{len(site.access_lines)} lines, {len(broken(site.access_lines))} broken.",
        f"Metrics: {metrics or 'not read'}. "
        f"The clients did not run for {site.course.late:.1f} s at most.\n",
        "| process | at | id | memory | descriptors |",
        "|---|---|---:|---:|---:|",
    ]
    course = site.course
    for when, samples in (("start", course.start), ("middle", course.middle), ("end", course.end)):
        for sample in sorted(samples, key=lambda each: (each.role, each.pid)):
            figures = [str(sample.pid), _mib(sample.memory), str(sample.descriptors)]
            rows.append(_row([sample.role, when, *figures]))
    rows += ["\n| bad clients | opened | not opened | ended by the server | statuses |"]
    rows += ["|---|---:|---:|---:|---|"]
    for kind, fate in sorted(site.crowds.items()):
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(fate["statuses"].items()))
        figures = [str(fate[key]) for key in ("opened", "not_opened", "ended_by_server")]
        rows.append(_row([kind, *figures, statuses or "none"]))
    return rows
