"""What a server's processes cost: CPU time and memory, read from ``/proc``.

The whole tree below the started process counts, all threads of it: a server that uses a second
core shows it here, whatever the load generator saw.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Usage",
    "core_seconds",
    "descendants",
    "descriptors",
    "living",
    "private_bytes",
    "usage",
]

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals of a process tree: CPU seconds, anonymous resident bytes, processes and threads."""

    cpu_seconds: float
    resident_bytes: int
    processes: int
    threads: int


def descendants(pid: int) -> list[int]:
    """Return ``pid`` and every process below it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        stat = _stat(int(entry.name))
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def usage(pid: int) -> Usage:
    """Return what the tree of ``pid`` has used so far; processes that have gone count nothing."""
    ticks = resident = processes = threads = 0
    for member in descendants(pid):
        stat = _stat(member)
        if stat is None:
            continue
        processes += 1
        # Fields 14, 15 and 20 of proc(5) stat; the list starts at field 3.
        ticks += int(stat[11]) + int(stat[12])
        threads += int(stat[17])
        resident += private_bytes(member)
    return Usage(ticks / TICK, resident, processes, threads)


def core_seconds(cores: str) -> float:
    """Return the seconds that cores ("0", "0,2-3") spent in processes or were taken by the host.

    Interrupts do not count: those of the server's own traffic belong to no process.
    """
    numbers: set[int] = set()
    for part in filter(None, cores.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    ticks = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu" and int(name[3:]) in numbers:
            user, nice, system, _, _, _, _, stolen = map(int, columns[:8])
            ticks += user + nice + system + stolen
    return ticks / TICK


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open. Raises ``OSError`` where it has gone."""
    return len(os.listdir(PROC / str(pid) / "fd"))


def living(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def private_bytes(pid: int) -> int:
    """Return its anonymous memory: what grows with connections, without shared libraries."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command's name is in parentheses and may hold spaces and parentheses itself.
    return text[text.rindex(")") + 2 :].split()
