"""How fast the content of a request comes; against bodies that are sent a byte at a time.

A connection measures once a tick while content is expected and it is reading. While it does not
read, because the application takes its time, it does not: that time is not the client's.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BodyPace"]

GRACE: Final = 10.0
"""Seconds of a body before its average rate counts."""


class BodyPace:
    """Silence and average rate of one body, added up from tick to tick."""

    __slots__ = ("_received", "_seconds", "_silence")

    def __init__(self, received: int) -> None:
        self._received = received
        self._seconds = 0.0
        self._silence = 0.0

    def add(self, received: int, seconds: float) -> None:
        """Note how many bytes there are now, ``seconds`` after the last time."""
        self._seconds += seconds
        if received > self._received:
            self._received = received
            self._silence = 0.0
        else:
            self._silence += seconds

    def too_slow(self, silence: float, rate: int) -> bool:
        """Whether it was silent for ``silence`` seconds, or brought less than ``rate`` bytes a
        second on average once the grace was over; 0 is no limit."""
        if silence and self._silence >= silence:
            return True
        return rate > 0 and self._seconds > GRACE + self._received / rate
