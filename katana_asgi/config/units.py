"""Durations and sizes as people write them: ``500ms``, ``30s``, ``16KiB``, ``1MB``.

Reading is exact (decimal arithmetic); what the ``format_`` functions write reads back as the
same value. Units of sizes: kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]

_match: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,400})?)\s*([A-Za-z]*)", re.ASCII).fullmatch

_SECONDS: Final = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal(1) / 1000,
    "": Decimal(1),
}

_BYTES: Final = {
    "TiB": 1024**4,
    "GiB": 1024**3,
    "MiB": 1024**2,
    "KiB": 1024,
    "TB": 1000**4,
    "GB": 1000**3,
    "MB": 1000**2,
    "kB": 1000,
    "B": 1,
    "": 1,
}

_ANY_CASE: Final = {unit.lower(): factor for unit, factor in _BYTES.items()}


def parse_duration(text: str) -> float:
    """Seconds of ``text``: a number and ms, s, m or h; without a unit they are seconds.

    Raises ``ValueError``.
    """
    match = _match(text.strip())
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"not a duration: {text!r}")
    return float(Decimal(match[1]) * _SECONDS[match[2]])


def parse_size(text: str) -> int:
    """Bytes of ``text``: a number and a unit in upper or lower case; without one, bytes.

    Raises ``ValueError``, also for a fraction of a byte.
    """
    match = _match(text.strip())
    factor = _ANY_CASE.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"not a size: {text!r}")
    size = Decimal(match[1]) * factor
    if size != int(size):
        raise ValueError(f"not a whole number of bytes: {text!r}")
    return int(size)


def format_duration(seconds: float) -> str:
    """``seconds`` with the largest unit that leaves a whole number: ``75s``, ``5m``, ``0s``."""
    exact = Decimal(repr(seconds))
    for unit in ("h", "m", "s", "ms"):
        count = exact / _SECONDS[unit]
        if count == int(count) and (count or unit == "s"):
            return f"{int(count)}{unit}"
    return f"{exact:f}s"


def format_size(size: int) -> str:
    """``size`` with the largest unit that leaves a whole number: ``16KiB``, ``1MB``, ``100B``."""
    for unit, factor in _BYTES.items():
        if unit and size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0B"
