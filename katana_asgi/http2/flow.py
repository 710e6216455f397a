"""Windows for what a peer sends (RFC 9113 §5.2, §6.9): small arithmetic, no frames.

A window is announced again in large steps: a peer that is given back exactly what it sent goes on
in frames of that size, in the end of a single byte. The window of a stream grows while the
application keeps up, because a fixed one limits an upload to a window a round trip; all growth of
a connection comes out of one allowance, which bounds what applications that stop reading can
leave in memory.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CONNECTION_WINDOW",
    "GROWTH",
    "GROWTH_ALLOWANCE",
    "LARGEST_STREAM_WINDOW",
    "STREAM_WINDOW",
    "Allowance",
    "ReceiveWindow",
]

CONNECTION_WINDOW: Final = 32 * 1024 * 1024
"""Given back as soon as bytes arrive, so that an application that does not read holds up no other
stream; what it can leave in memory is bounded by the windows of the streams."""

STREAM_WINDOW: Final = 65_535
"""The initial value of RFC 9113 §6.5.2. Times the stream limit it is what a connection can make
the worker hold for applications that read nothing."""

LARGEST_STREAM_WINDOW: Final = 16 * 1024 * 1024
"""Enough for 1 Gbit/s at a round trip of 100 ms."""

GROWTH: Final = 4
"""How many times larger a window becomes each time the application has taken half of it."""

GROWTH_ALLOWANCE: Final = 2 * LARGEST_STREAM_WINDOW
"""By how much all the windows of a connection may be larger than their initial size."""


class Allowance:
    """What is left of a connection's growth."""

    __slots__ = ("left",)

    def __init__(self, size: int = GROWTH_ALLOWANCE) -> None:
        self.left = size


class ReceiveWindow:
    """What a peer may still send on one stream, or on the connection."""

    __slots__ = ("_owed", "left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = size
        self._owed = 0  # bytes taken and not yet announced

    def received(self, size: int) -> bool:
        """Count bytes that arrived; false where the peer had no right to send them."""
        self.left -= size
        return self.left >= 0

    def taken(self, size: int) -> int:
        """Count bytes that have left the buffer; returns the increment to announce, often 0."""
        self._owed += size
        if self._owed * 2 < self.size:
            return 0
        increment, self._owed = self._owed, 0
        self.left += increment
        return increment

    def grow(self, allowance: Allowance) -> int:
        """Enlarge the window of a stream whose application keeps up; returns by how much."""
        growth = min(self.size * (GROWTH - 1), LARGEST_STREAM_WINDOW - self.size, allowance.left)
        allowance.left -= growth
        self.size += growth
        self.left += growth
        return growth

    def release(self, allowance: Allowance, initial: int) -> None:
        """Return the growth: the stream has ended."""
        allowance.left += self.size - initial
        self.size = initial
