"""Content codings and Accept-Encoding (RFC 9110 §8.4.1, §12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["accepted_codings"]

_match_member: Final = re.compile(
    rb"(\*|[!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
).fullmatch

_LONGEST_KEPT: Final = 256
"""Bytes of a value that is remembered; browsers send about thirty."""

_SAME: Final = {b"x-gzip": b"gzip", b"x-compress": b"compress"}  # RFC 9110 §8.4.1


def accepted_codings(value: bytes | None, offered: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The codings among ``offered`` that are better than none, the best first.

    ``value`` is that of Accept-Encoding, ``None`` where the request has none: it is then only
    known what the client did not ask for. The client's weights decide, then the order of
    ``offered``. A coding that the client likes less than the plain content is left out.
    """
    if not value:
        return ()
    if len(value) > _LONGEST_KEPT:
        return _accepted(value, offered)
    return _remembered(value, offered)


def _accepted(value: bytes, offered: tuple[bytes, ...]) -> tuple[bytes, ...]:
    weights: dict[bytes, float] = {}
    for part in value.split(b","):
        match = _match_member(part.strip(b" \t"))
        if match is not None:
            name = match[1].lower()
            weights.setdefault(_SAME.get(name, name), float(match[2] or 1))
    otherwise = weights.get(b"*", 0.0)
    # Not named, the plain content is acceptable but never preferred.
    plain = weights.get(b"identity", 0.0)
    liked = [(weights.get(name, otherwise), name) for name in offered]
    good = [(weight, name) for weight, name in liked if weight > 0 and weight >= plain]
    good.sort(key=_negative_weight)
    return tuple([name for _, name in good])


def _negative_weight(weighted: tuple[float, bytes]) -> float:
    return -weighted[0]


_remembered: Final = lru_cache(maxsize=512)(_accepted)
