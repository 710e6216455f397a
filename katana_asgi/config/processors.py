"""How many processors this process may use: not how many the machine has.

A container sees all processors of its machine, but a quota of its cgroup may allow the time of
a few, and a cpuset only some of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["allowed_processors", "processor_quota", "usable_processors"]

GROUPS: Final = Path("/sys/fs/cgroup")


def usable_processors() -> int:
    """How many processes can be kept busy: processors of the cpuset, or the quota if it is less.

    A part of a processor does not count, as a process more would only be throttled; at least 1.
    """
    count = allowed_processors()
    quota = processor_quota()
    return count if quota is None else max(1, min(count, int(quota)))


def allowed_processors() -> int:
    """The processors that the system may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_quota(root: Path = GROUPS, groups: Path = Path("/proc/self/cgroup")) -> float | None:
    """Processors' worth of time that the cgroups of this process allow; ``None``: no limit.

    The smallest of a cgroup and those around it counts. ``root`` is where cgroups are mounted,
    ``groups`` says which are ours.
    """
    quotas = [quota for directory in _directories(root, groups) for quota in _quotas(directory)]
    return min(quotas, default=None)


def _directories(root: Path, groups: Path) -> Iterator[Path]:
    """The cgroups of this process that may have a quota, with those around them."""
    try:
        lines = groups.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            mount = root  # version 2
        elif "cpu" in controllers.split(","):
            mount = root / "cpu"  # version 1; a link where controllers share a mount
        else:
            continue
        own = mount / path.lstrip("/")
        # In a container the path may be one outside, of which only the mount itself is seen.
        for directory in (own, *own.parents):
            yield directory
            if directory == mount:
                break


def _quotas(directory: Path) -> Iterator[float]:
    for words in (
        _words(directory / "cpu.max"),
        _words(directory / "cpu.cfs_quota_us") + _words(directory / "cpu.cfs_period_us"),
    ):
        try:
            quota, period = map(int, words)
        except ValueError:  # "max", or there is no such file
            continue
        if quota > 0 and period > 0:
            yield quota / period


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []
