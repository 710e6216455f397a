"""Whole requests over a connection in memory: everything but the kernel and the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.inside import CASES, Case, Inside, serving
from benchmarks.micro.clock import Micro

__all__ = ["connection"]

BATCH = 200
"""Requests for each call, over which what the batch itself costs is spread."""


def connection() -> Iterator[Micro]:
    """Yield the cases, with the request memo and without it."""
    for memo in (True, False):
        for inside in serving(memo=memo):
            for case in (case for case in CASES.values() if not case.settings):
                name = case.name if memo else f"{case.name}, memo off"
                operations = BATCH * case.responses
                yield Micro("connection", name, _batches(inside, case), operations)


def _batches(inside: Inside, case: Case) -> Callable[[], object]:
    numbers = count(step=BATCH)
    case.check(case.send(inside, next(numbers), BATCH), BATCH)
    return lambda: case.send(inside, next(numbers), BATCH)
