"""One coarse timer per worker: the Date field, the time of day, the deadlines.

It ticks once a second, just after the second begins. A deadline is a point on the loop's
clock that a connection carries; nobody sets a timer per request. ``after`` adds a tick, so
a deadline never passes early and passes at most about a second late; for timeouts below a
few seconds the tick is shorter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from katana_asgi.http.dates import http_date

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

__all__ = ["NEVER", "Clock", "Watched"]

NEVER: Final = float("inf")


class Watched(Protocol):
    """A connection, whatever it speaks, as the clock and the end of the worker see it."""

    deadline: float

    def deadline_passed(self) -> None:
        """Called once ``deadline`` lies in the past, at every tick until it is moved."""

    def shutdown(self) -> None:
        """Come to an end: the worker drains."""

    def abort(self) -> None:
        """End at once."""


class Clock:
    """The time as one worker sees it, a tick old at most.

    ``fields`` are the field lines every response gets unless the application sends its own:
    Date, Server and those of ``--header``. ``variants`` leaves out what the application
    sent: bit 0 Date, bit 1 Server. ``idle_deadline`` is ``after(idle_timeout)``, which every
    request needs, computed once a tick.
    """

    __slots__ = (
        "_due",
        "_handle",
        "_idle_timeout",
        "_lines",
        "_loop",
        "_second",
        "_tick",
        "every_tick",
        "fields",
        "idle_deadline",
        "lag",
        "now",
        "variants",
        "watched",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        date: bool = True,
        server: bytes | None = b"katana-asgi",
        further: Iterable[tuple[bytes, bytes]] = (),
        idle_timeout: float = 75.0,
        shortest_timeout: float = 10.0,
    ) -> None:
        self._loop = loop
        self._tick = min(1.0, max(0.02, min(idle_timeout, shortest_timeout) / 5))
        self._idle_timeout = idle_timeout
        lines = [(name.lower(), value) for name, value in further]
        names = {name for name, _ in lines}
        rest = b"".join([b"%b: %b\r\n" % line for line in lines])
        server_line = b""
        if server is not None and b"server" not in names:
            server_line = b"server: %b\r\n" % server
        self._lines = (date and b"date" not in names, server_line, rest)
        self.watched: set[Watched] = set()
        self.every_tick: list[Callable[[], None]] = []
        self._second = 0
        self._handle: asyncio.TimerHandle | None = None
        self.now = loop.time()
        self._due = self.now
        self.lag = 0.0  # seconds the last tick came late: what kept the loop busy
        self.idle_deadline = self.after(idle_timeout)
        self.fields = b""
        self.variants: tuple[bytes, ...] = ()
        self._refresh(int(time.time()))

    def start(self) -> None:
        """Begin to tick."""
        self._on_tick()

    def stop(self) -> None:
        """Tick no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def after(self, timeout: float) -> float:
        """The deadline ``timeout`` seconds from now."""
        return self.now + timeout + self._tick

    def _on_tick(self) -> None:
        wall = time.time()
        now = self.now = self._loop.time()
        self.lag = max(0.0, now - self._due)
        delay = min(self._tick, int(wall) + 1 - wall + 0.001)
        self._due = now + delay
        self._handle = self._loop.call_at(self._due, self._on_tick)
        self.idle_deadline = self.after(self._idle_timeout)
        if int(wall) != self._second:
            self._refresh(int(wall))
        for overdue in [each for each in self.watched if each.deadline <= now]:
            overdue.deadline_passed()
        for call in self.every_tick:
            call()

    def _refresh(self, second: int) -> None:
        self._second = second
        date, server, rest = self._lines
        date_line = b"date: %b\r\n" % http_date(second) if date else b""
        self.variants = (date_line + server + rest, server + rest, date_line + rest, rest)
        self.fields = self.variants[0]
