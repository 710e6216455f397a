"""Budgets against floods: frames that cost the server more than they cost their sender.

Every frame that carries nothing costs points; useful ones earn some back, and so does time. A
client that works never runs out: it acknowledges, updates windows and cancels in proportion to
what it asks for. One that only makes work is told to calm down (RFC 9113 §10.5).

==========================  =====================================================================
flood                       what stops it
==========================  =====================================================================
rapid reset                 ``resets``; calls whose stream was reset count until they return, so
(CVE-2023-44487,            an application runs at most twice the stream limit at once
CVE-2025-8671)
CONTINUATION                ``MAX_CONTINUATIONS``, ``BLOCK_FACTOR`` times the header limit, time
SETTINGS, PING              ``overhead``; reading pauses while the answers are not being read
empty and tiny DATA         ``overhead``; tiny ones are returned as the application takes them
PRIORITY, WINDOW_UPDATE,    ``overhead``
unknown frames
header lists                the limits on their decoded size and number
windows of a few bytes      time: ``timeout_write`` for 16 KiB
==========================  =====================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http2.faults import ENHANCE_YOUR_CALM, ConnectionFault

if TYPE_CHECKING:
    from katana_asgi.net.clock import Clock

__all__ = [
    "BLOCK_FACTOR",
    "COST_OF_SETTINGS",
    "EARNED_BY_REQUEST",
    "EARNED_BY_SENDING",
    "MAX_CONTINUATIONS",
    "TINY",
    "Budget",
    "overhead_budget",
    "reset_budget",
]

MAX_CONTINUATIONS: Final = 32
"""Frames behind a HEADERS frame; the default header limit fits into four."""

BLOCK_FACTOR: Final = 2
"""How many times larger than the limit a header block may be and still be decoded, for a 431 that
keeps the connection; a larger one is not even held in memory."""

TINY: Final = 256
"""Bytes of content below which a DATA frame that does not end its stream costs a point."""

COST_OF_SETTINGS: Final = 10
"""Points: they have to be acknowledged, and may touch every stream."""

EARNED_BY_REQUEST: Final = 4
"""Points: a client may send a PRIORITY_UPDATE, a WINDOW_UPDATE and a PING for each request."""

EARNED_BY_SENDING: Final = 4
"""Points for each DATA frame sent: two WINDOW_UPDATE, and a PING to measure the bandwidth."""


class Budget:
    """Points that are spent, earned and refilled over time, never above their first number."""

    __slots__ = ("_capacity", "_clock", "_left", "_rate", "_reason", "_since")

    def __init__(self, clock: Clock, capacity: int, rate: float, reason: str) -> None:
        self._clock = clock
        self._capacity = capacity
        self._rate = rate
        self._reason = reason
        self._left: float = capacity
        self._since = clock.now

    def spend(self, cost: int = 1) -> None:
        """Take points; a connection error where there are none left."""
        self._left = min(self._left, self._capacity) - cost
        if self._left < 0:
            now = self._clock.now
            self._left += (now - self._since) * self._rate
            self._since = now
            if self._left < 0:
                raise ConnectionFault(ENHANCE_YOUR_CALM, self._reason)

    def earn(self, points: int = 1) -> None:
        """Give points back; what is above the first number is lost at the next ``spend``."""
        self._left += points


def reset_budget(clock: Clock) -> Budget:
    """Streams that ended in a reset; one that ends well gives a point back.

    Proxies and browsers that abandon a page reset hundreds at once.
    """
    return Budget(clock, 1000, 50.0, "too many streams were reset")


def overhead_budget(clock: Clock) -> Budget:
    """Frames without use."""
    return Budget(clock, 2000, 100.0, "too many frames without use")
