"""A histogram of durations with logarithmic buckets: small, mergeable, quick to record into.

Each bucket is 2^(1/8) times as wide as the one before, and stands for its geometric middle,
so that a percentile is off by 4.4 % at most.
"""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUCKETS_PER_OCTAVE", "LARGEST", "SMALLEST", "Histogram"]

BUCKETS_PER_OCTAVE: Final = 8

_OCTAVES_BELOW: Final = 30
_OCTAVES_ABOVE: Final = 12

SMALLEST: Final = 2.0**-_OCTAVES_BELOW
"""Seconds; about a nanosecond. What is shorter falls into the first bucket."""

LARGEST: Final = 2.0**_OCTAVES_ABOVE
"""Seconds; about an hour. What is longer falls into the last bucket."""

_OFFSET: Final = 240.0
"""The bucket of one second: octaves below it, times buckets in each."""

_COUNT: Final = (_OCTAVES_BELOW + _OCTAVES_ABOVE) * BUCKETS_PER_OCTAVE


class Histogram:
    """Counts of durations, in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * _COUNT
        self.total = 0.0  # seconds, of all of them

    def record(self, seconds: float) -> None:
        """Count one duration; 200 ns at most, so the bounds are looked at when they are hit."""
        self.total += seconds
        try:
            self.counts[int(log2(seconds) * 8.0 + 240.0)] += 1  # literals: looked up by nobody
        except (IndexError, ValueError, OverflowError):
            self.record_beyond(seconds)

    def record_beyond(self, seconds: float) -> None:
        """Count a duration that no bucket is for, zero or longer than the last; not its sum."""
        self.counts[-1 if seconds >= LARGEST else 0] += 1

    @property
    def count(self) -> int:
        """How many were recorded."""
        return sum(self.counts)

    def add(self, other: Histogram) -> None:
        """Count what ``other`` has counted, too."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def since(self, before: Histogram) -> Histogram:
        """What was recorded after ``before`` was a copy of this."""
        made = Histogram()
        pairs = zip(self.counts, before.counts, strict=True)
        made.counts = [max(0, now - then) for now, then in pairs]
        made.total = max(0.0, self.total - before.total)
        return made

    def quantile(self, fraction: float) -> float:
        """The duration that ``fraction`` of all do not exceed, in seconds; 0 for none at all."""
        rank = fraction * self.count
        seen = 0
        last = 0.0
        for index, count in enumerate(self.counts):
            if count:
                seen += count
                last = 2.0 ** ((index + 0.5 - _OFFSET) / BUCKETS_PER_OCTAVE)
                if seen >= rank:
                    break
        return last

    def up_to_octaves(self, lowest: int, highest: int) -> Iterable[tuple[float, int]]:
        """Pairs of a bound of 2^n seconds and how many lie below it, for n of the range."""
        for octave in range(lowest, highest + 1):
            end = (octave + _OCTAVES_BELOW) * BUCKETS_PER_OCTAVE
            yield 2.0**octave, sum(self.counts[:end])

    def packed(self) -> list[object]:
        """A form that JSON can take and ``unpacked`` reads; empty buckets cost nothing."""
        filled: list[object] = []
        for index, count in enumerate(self.counts):
            if count:
                filled += (index, count)
        return [self.total, *filled]

    @classmethod
    def unpacked(cls, packed: list[float]) -> Histogram:
        """The histogram that ``packed`` came from."""
        made = cls()
        made.total = float(packed[0])
        for index, count in zip(packed[1::2], packed[2::2], strict=True):
            made.counts[int(index)] = int(count)
        return made
