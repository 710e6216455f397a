"""Which worker gets a connection: pure arithmetic on loads.

A load is a worker's open connections and running calls together. The worker that has accepted
keeps the connection unless another is clearly emptier: for a hand-off a second event loop has to
adopt it, and where the kernel places evenly there should be none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LEAST_GAP", "UNAVAILABLE", "choose", "least_surplus", "surplus"]

UNAVAILABLE: Final = -1
"""In place of the load of a worker that must not be given anything."""

LEAST_GAP: Final = 2
"""By how much two workers may differ whatever their load: one may be chance."""

GAP_SHIFT: Final = 3
"""... and by an eighth of what the fuller one has."""

MOVE_SHIFT: Final = 2
"""A connection that has been placed moves only where the gap is above a quarter: twice that of
newcomers, so that what moved for the sake of balance is not sent back."""

MOVED_AT_ONCE: Final = 8
"""Connections moved in one step, so that a gap closes in seconds and not with a jolt."""


def choose(mine: int, others: Sequence[int]) -> int:
    """Choose who gets a connection that has just been accepted by a worker with load ``mine``.

    Returns the index of one of ``others``, or -1 to keep it. Of several that are as empty the
    first is chosen, so that the caller can take turns.
    """
    limit = mine - max(LEAST_GAP, mine >> GAP_SHIFT)
    chosen = -1
    for index, load in enumerate(others):
        if 0 <= load <= limit:
            chosen, limit = index, load - 1
    return chosen


def least_surplus(least: int) -> int:
    """The load from which on a worker passes on to one that has ``least``."""
    return least + max(LEAST_GAP, least >> GAP_SHIFT)


def surplus(mine: int, others: Sequence[int]) -> int:
    """How many connections a worker that has ``mine`` should move to the emptiest of ``others``.

    0 where they are even enough, or where another is fuller and goes first. Neither falls below
    the mean nor rises above it by this, so nothing has to come back.
    """
    known = [load for load in others if load >= 0]
    if not known or mine < max(known):
        return 0
    gap = mine - min(known)
    if gap <= max(LEAST_GAP, mine >> MOVE_SHIFT):
        return 0
    mean = (mine + sum(known)) // (1 + len(known))
    return min(gap // 2, mine - mean, max(1, mean - min(known)), MOVED_AT_ONCE)
