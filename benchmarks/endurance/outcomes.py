"""What became of each request, and of those that were lost, who is to blame."""

from __future__ import annotations

import time
from array import array
from collections import Counter, defaultdict
from typing import Final

__all__ = ["Again", "Outcomes", "Wrong"]

NOTICED: Final = 3.0
"""Seconds after a kill in which a client notices that it was cut off, on a busy machine."""

LATE: Final = 1.0
"""Seconds without the processor that make a client a slow one: a worker that drains gives newcomers
two seconds, and so does HTTP/2 after GOAWAY, which a client may be too late to read."""

LATE_FOR: Final = 10.0
"""Seconds after which what it has missed meanwhile has shown."""

KEPT: Final = 20
"""Faults of a kind that are told one by one."""


class Wrong(Exception):
    """An answer that is not what it must be."""


class Again(Exception):
    """The server has announced that it will not answer: to be sent once more, and nothing lost."""


class Outcomes:
    """Requests of one site: right, wrong, lost with their worker, by late clients, or simply lost.

    A kind is a protocol with what was asked for, such as "HTTP/2 echo".
    """

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()  # in flight on a worker that was killed
        self.late: Counter[str] = Counter()  # while the clients themselves did not run
        self.again: Counter[str] = Counter()
        self.times: defaultdict[str, array[float]] = defaultdict(lambda: array("f"))
        self.faults: list[str] = []
        self.workers: set[int] = set()  # that have answered
        self._kills: dict[int, float] = {}
        self._killed_at = -NOTICED
        self._late_at = -LATE_FOR

    def about_to_kill(self, worker: int) -> None:
        """From now on this worker answers nothing."""
        self._killed_at = self._kills[worker] = time.monotonic()

    def did_not_run(self, seconds: float) -> None:
        """The clients did not have the processor for so long."""
        if seconds > LATE:
            self._late_at = time.monotonic()

    def answered(self, kind: str, seconds: float, count: int = 1) -> None:
        """A right answer, or ``count`` of them."""
        self.right[kind] += count
        self.times[kind].append(seconds)

    def failed(self, kind: str, error: BaseException, worker: int | None, times: str = "") -> None:
        """No right answer; ``worker`` is the one that had the connection, where it is known.

        ``times`` says how long it was idle before, and was waited for.
        """
        if isinstance(error, Again):
            self.again[kind] += 1
        elif isinstance(error, Wrong):
            self.wrong[kind] += 1
            self._tell(f"{kind}: wrong: {error}")
        elif self._was_killed(worker):
            self.killed[kind] += 1
        elif time.monotonic() - self._late_at < LATE_FOR:
            self.late[kind] += 1
        else:
            self.lost[kind] += 1
            self._tell(f"{kind}: lost on {worker or 'an unknown worker'}{times}: {error!r}")

    def _was_killed(self, worker: int | None) -> bool:
        if worker is not None:
            return worker in self._kills
        return time.monotonic() - self._killed_at < NOTICED

    def _tell(self, fault: str) -> None:
        if len(self.faults) < KEPT:
            self.faults.append(f"{time.strftime('%H:%M:%S')} {fault[:200]}")
