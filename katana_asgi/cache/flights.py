"""Calls of the application that others may wait for, and those whose result came too late.

The first request that misses a key leads; others wait for its response and are woken as soon
as it is known that there will be none for them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Flight", "Flights", "Outcome"]


class Outcome(Enum):
    """How a flight ended."""

    STORED = auto()
    """Its response is in the store."""
    NOT_STORABLE = auto()
    """Each request needs its own call."""
    VANISHED = auto()
    """Its client left, or it ended otherwise: another one leads."""


class Flight:
    """One call of the application whose response may be stored.

    ``spoiled``: what it fetches was invalidated meanwhile, so it must not be stored.
    """

    __slots__ = ("_done", "key", "leads", "outcome", "spoiled")

    def __init__(self, key: bytes, *, leads: bool) -> None:
        self.key = key
        self.leads = leads
        self.spoiled = False
        self.outcome: Outcome | None = None
        self._done: asyncio.Future[None] | None = None

    async def wait(self, timeout: float) -> Outcome | None:
        """How it ended; ``None`` where it has not within ``timeout`` seconds."""
        if self.outcome is None and timeout > 0:
            if self._done is None:
                self._done = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._done), timeout)
        return self.outcome

    def land(self, outcome: Outcome) -> None:
        """Wake those who wait; again, nothing happens."""
        if self.outcome is None:
            self.outcome = outcome
            if self._done is not None and not self._done.done():
                self._done.set_result(None)


class Flights:
    """The calls under way, by key; at most one of a key leads."""

    __slots__ = ("leading", "running")

    def __init__(self) -> None:
        self.leading: dict[bytes, Flight] = {}
        self.running: dict[bytes, set[Flight]] = {}

    def leader(self, key: bytes) -> Flight | None:
        """The call that others may wait for."""
        return self.leading.get(key)

    def begin(self, key: bytes, *, leads: bool) -> Flight:
        """A call begins; it leads only where none does."""
        flight = Flight(key, leads=leads and key not in self.leading)
        if flight.leads:
            self.leading[key] = flight
        self.running.setdefault(key, set()).add(flight)
        return flight

    def release(self, flight: Flight, outcome: Outcome) -> None:
        """Let others go on; the call itself may continue."""
        if flight.leads and self.leading.get(flight.key) is flight:
            del self.leading[flight.key]
        flight.land(outcome)

    def end(self, flight: Flight) -> None:
        """The call has ended, as what it has been released with, or vanished."""
        self.release(flight, Outcome.VANISHED)
        running = self.running.get(flight.key)
        if running is not None:
            running.discard(flight)
            if not running:
                del self.running[flight.key]

    def spoil(self, matches: Callable[[bytes], bool]) -> None:
        """What the matching calls bring was invalidated after they began."""
        for key, flights in self.running.items():
            if matches(key):
                for flight in flights:
                    flight.spoiled = True
