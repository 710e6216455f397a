"""How long to wait before a worker is replaced, and when to stop trying.

The first replacement is immediate, because most deaths are single events. A worker that
dies again and again costs a start each time; after a few the fault is clearly not passing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DELAYS", "RETRY", "STABLE_AFTER", "Backoff"]

STABLE_AFTER: Final = 10.0
"""Seconds a worker must have been ready for its death to be an event of its own, rather than
one more turn of a loop; above the time a fault at the first requests takes to show."""

DELAYS: Final = (0.0, 0.1, 0.5, 2.0)
"""Seconds to wait before each replacement in a row without a stable worker. One more death
is a crash loop: a fault that outlasts these does not pass by itself, and the operator should
hear of it soon."""

RETRY: Final = 10.0
"""Seconds until the next attempt where other workers serve meanwhile: no client waits for it."""


class Backoff:
    """The deaths of the workers of one slot since the last stable one."""

    __slots__ = ("deaths",)

    def __init__(self) -> None:
        self.deaths = 0

    def died(self, ready_for: float) -> float | None:
        """Count a death after ``ready_for`` seconds of being ready, 0 for a failed start.

        Returns the seconds to wait before the replacement starts, ``None`` to give up.
        """
        if ready_for >= STABLE_AFTER:
            self.deaths = 0
        self.deaths += 1
        return DELAYS[self.deaths - 1] if self.deaths <= len(DELAYS) else None

    @property
    def exhausted(self) -> bool:
        """Whether there have been as many deaths as make a crash loop."""
        return self.deaths > len(DELAYS)

    def retired(self) -> None:
        """Forget the deaths: a worker has come to an orderly end."""
        self.deaths = 0
