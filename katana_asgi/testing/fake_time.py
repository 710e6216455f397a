"""An event loop whose time the test holds: a timeout of a minute passes in no time."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["FakeTimeLoop", "turns"]

Ts = TypeVarTuple("Ts")

BEGIN: Final = 1000.0
FIRST: Final = 1_000_000_000
"""The time at the start, and the time of day: Sun, 09 Sep 2001 01:46:40 GMT."""

SETTLING: Final = 3
"""Turns after each timer, so that what it has started goes on before the next one."""


async def turns(count: int = 1) -> None:
    """Let the running loop turn ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, but for its time, which passes by ``advance`` only::

        with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
            runner.run(main())

    A task that sleeps is woken by another one that advances; alone, it would sleep for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = BEGIN
        self._due: list[float] = []

    def time(self) -> float:
        """Seconds, from an arbitrary point on."""
        return self._now

    def time_of_day(self) -> float:
        """Seconds since 1970, which pass with ``time``; servers in memory tell them in Date."""
        return FIRST + self._now - BEGIN

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback`` once the time is ``when``, as any loop does."""
        heappush(self._due, when)
        return super().call_at(when, callback, *args, context=context)

    async def advance(self, seconds: float) -> None:
        """Let time pass; what falls due on the way is called at its time, one after the other."""
        end = self._now + seconds
        await turns(SETTLING)
        while self._due and self._due[0] <= end:
            self._now = max(self._now, heappop(self._due))
            await turns(SETTLING)
        self._now = end
        await turns(SETTLING)

    def block(self, seconds: float) -> None:
        """Let time pass in which nothing is called, as where something keeps the loop busy."""
        self._now += seconds
