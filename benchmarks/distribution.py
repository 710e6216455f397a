"""Statistics of the suite: exact percentiles, spread, and ratios of rounds.

Percentiles are taken from the sorted samples themselves (nearest rank), never from a histogram,
so that the tail is what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "PERCENTILES",
    "Spread",
    "curve",
    "percentile",
    "ratios",
    "spread",
    "summary",
]

PERCENTILES: dict[str, float] = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of samples in ascending order.

    Raises ``ValueError`` for no samples or a percent outside 0 to 100.
    """
    if not ordered:
        raise ValueError("no samples")
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is not a percentage")
    # The rounding keeps 99.9 % of 1000 at rank 999 where the product is 999.0000000000001.
    rank = math.ceil(round(percent * len(ordered) / 100, 9))
    return ordered[max(rank, 1) - 1]


def summary(ordered: Sequence[float]) -> dict[str, float]:
    """Return percentiles, minimum, maximum, mean and interquartile range of sorted samples."""
    result = {name: percentile(ordered, percent) for name, percent in PERCENTILES.items()}
    result["min"] = ordered[0]
    result["max"] = ordered[-1]
    result["mean"] = sum(ordered) / len(ordered)
    result["iqr"] = percentile(ordered, 75) - percentile(ordered, 25)
    return result


def curve(ordered: Sequence[float], points: int = 120) -> list[tuple[float, float]]:
    """Return (value, share of samples at or below it) pairs that draw the distribution.

    Half of the points are spread evenly, half crowd at the tail, where they matter.
    """
    even = [100 * step / (points // 2) for step in range(points // 2 + 1)]
    tail = [100 - 10 ** (1 - 4 * step / (points // 2)) for step in range(points // 2)]
    shares = sorted({*even, *(share for share in tail if share > 0)})
    return [(percentile(ordered, share), share / 100) for share in shares]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of one figure over the rounds, and the least and most it was."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and range of values in any order.

    Raises ``ValueError`` for no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    median = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return Spread(median, ordered[0], ordered[-1])


def ratios(numerators: Sequence[float | None], denominators: Sequence[float | None]) -> list[float]:
    """Return the ratio of each round in which both sides have a figure.

    A machine's speed wanders; two turns of one round are neighbours in time, so their ratio
    wanders less than either figure.
    """
    return [
        numerator / denominator
        for numerator, denominator in zip(numerators, denominators, strict=False)
        if numerator is not None and denominator
    ]
