"""Times one call as exactly as an interpreter can: many calls, several times, the fastest."""

from __future__ import annotations

import gc
import timeit
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Micro", "nanoseconds"]

LEAST = 0.02
"""Seconds that one timing takes at least."""
REPEATS = 7


@dataclass(frozen=True, slots=True)
class Micro:
    """One case: ``call`` does ``operations`` of them."""

    group: str
    name: str
    call: Callable[[], object]
    operations: int = 1


def nanoseconds(call: Callable[[], object]) -> float:
    """Return the time of one call: the least of several timings, since noise only adds."""
    timer = timeit.Timer(call)
    number = 1
    while (took := timer.timeit(number)) < LEAST:
        number = max(int(number * LEAST / max(took, 1e-6) * 1.1), number + 1)
    gc.collect()
    return min(timer.repeat(REPEATS, number)) / number * 1e9
