"""One coarse timer per worker: the time of day and the deadlines.

It ticks once a second, just after the second begins. A deadline is a point on the loop's
clock that a connection carries; no request sets a timer. ``after`` adds a tick, so
a deadline never passes early and passes at most about a second late; for timeouts below a
few seconds the tick is shorter. What is measured rather than timed (the pace of a body, a
reader that has stopped) is sampled once a tick.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["EVERY_TICK", "NEVER", "Clock", "Stalled", "Watched"]

NEVER: Final = float("inf")

EVERY_TICK: Final = 0.0
"""A deadline that has always passed: ``deadline_passed`` is called at every tick."""

PATIENCE: Final = 0.05
"""Grace after a blocked loop, so that data already received is read before timeouts are judged."""

AT_ONCE: Final = 10
"""Deadlines that pass in one turn of the loop: thousands of connections that were opened together
end together, and others should not wait for that."""


class Watched(Protocol):
    """A connection, whatever it speaks, as the clock and the end of the worker see it."""

    deadline: float

    def deadline_passed(self) -> None:
        """Called once ``deadline`` lies in the past, at every tick until it is moved."""

    def shutdown(self) -> None:
        """Come to an end: the worker drains."""

    def wind_down(self, grace: float) -> None:
        """As ``shutdown``, but while idle stay for ``grace`` seconds, for a request on its way."""

    def abort(self) -> None:
        """End at once."""

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for a request, on the loop's clock; ``None``: it does not."""

    @property
    def answered_since(self) -> float | None:
        """Since when its peer has all of its last answer and nothing but the peer's end is waited
        for; ``None``: it is not so."""


class Stalled(Protocol):
    """What has more to send than its peer takes."""

    def check_writing(self) -> None:
        """Called at every tick until nothing waits to be sent any more."""


class Clock:
    """The time as one worker sees it, a tick old at most.

    ``idle_deadline`` is ``after(idle_timeout)``, which every request needs, computed once a
    tick. ``every_second`` are called with each new second since the epoch, once at the start.
    """

    __slots__ = (
        "_due",
        "_handle",
        "_idle_timeout",
        "_loop",
        "_overdue",
        "_second",
        "_tick",
        "_time_of_day",
        "elapsed",
        "every_second",
        "every_tick",
        "idle_deadline",
        "lag",
        "now",
        "stalled",
        "watched",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        idle_timeout: float = 75.0,
        shortest_timeout: float = 10.0,
        time_of_day: Callable[[], float] = time,
    ) -> None:
        self._loop = loop
        self._time_of_day = time_of_day
        self._tick = min(1.0, max(0.02, min(idle_timeout, shortest_timeout) / 5))
        self._idle_timeout = idle_timeout
        self.watched: set[Watched] = set()
        self.stalled: set[Stalled] = set()
        self.every_tick: list[Callable[[], None]] = []
        self.every_second: list[Callable[[int], None]] = []
        self._overdue: list[Watched] = []  # of the last sweep, still to be called
        self._second = 0
        self._handle: asyncio.TimerHandle | None = None
        self.now = loop.time()
        self._due = self.now
        self.lag = 0.0  # seconds the last tick came late: what kept the loop busy
        self.elapsed = 0.0  # seconds since the tick before that a peer may be blamed for
        self.idle_deadline = self.after(idle_timeout)

    def start(self) -> None:
        """Begin to tick."""
        self._on_tick()

    def stop(self) -> None:
        """Tick no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._overdue.clear()

    def after(self, timeout: float) -> float:
        """The deadline ``timeout`` seconds from now."""
        return self.now + timeout + self._tick

    def shorten_idle_timeout(self, timeout: float) -> None:
        """From now on, connections that wait for a request do so for ``timeout`` at most."""
        self._idle_timeout = min(self._idle_timeout, timeout)
        self.idle_deadline = self.after(self._idle_timeout)

    def _on_tick(self) -> None:
        wall = self._time_of_day()
        before, now = self.now, self._loop.time()
        self.now = now
        self.lag = max(0.0, now - self._due)
        self.elapsed = min(now - before, self._tick)
        delay = min(self._tick, int(wall) + 1 - wall + 0.001)
        self._due = now + delay
        self._handle = self._loop.call_at(self._due, self._on_tick)
        self.idle_deadline = self.after(self._idle_timeout)
        if int(wall) != self._second:
            self._second = int(wall)
            for begin in self.every_second:
                begin(self._second)
        if self.lag < self._tick:
            self._sweep()
        else:
            self._loop.call_later(PATIENCE, self._sweep)
        for call in self.every_tick:
            call()

    def _sweep(self) -> None:
        """Call those whose deadline has passed, and check those whose peer takes nothing."""
        if self._handle is None or self._overdue:
            return  # stopped in between, or still at it
        now = self.now
        self._overdue = [each for each in self.watched if each.deadline <= now]
        self._call_overdue()
        for stalled in list(self.stalled):
            stalled.check_writing()

    def _call_overdue(self) -> None:
        """Call some, and the others in later turns of the loop; a deadline may move meanwhile."""
        overdue = self._overdue
        some = overdue[-AT_ONCE:]
        del overdue[-AT_ONCE:]
        if overdue:
            self._loop.call_soon(self._call_overdue)
        now = self.now
        for each in some:
            if each.deadline <= now and each in self.watched:
                each.deadline_passed()
