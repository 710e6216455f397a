"""The contents rendered for values of placeholders, bounded in number and in bytes.

They live in the same dictionary as the exact routes, so that a value that is asked for again
and again costs what an exact route costs. The oldest leaves first: a client that asks for
ever new values drives others out, but each costs one rendering to come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from katana_asgi.routes.variants import Variants

__all__ = ["RenderedValues"]

_MOST_ENTRIES: Final = 1024
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Per worker, against clients that ask for ever new values."""

_SHARES: Final = 8
"""Entries that always fit, against one large content that drives all others out."""

_OVERHEAD: Final = 6 * 1024
"""Bytes of an entry besides its content: its responses and what was rendered of each."""

_COPIES: Final = 4
"""Contents an entry holds at most: its own and one in each of three responses."""


class RenderedValues:
    """Puts rendered values into ``known`` and takes the oldest out again."""

    __slots__ = ("_bytes", "_known", "_most_bytes", "_most_entries", "_weights")

    def __init__(
        self,
        known: dict[bytes, Variants],
        most_entries: int = _MOST_ENTRIES,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._known = known
        self._weights: dict[bytes, int] = {}  # in order of age
        self._bytes = 0
        self._most_entries = most_entries
        self._most_bytes = most_bytes

    def add(self, raw_path: bytes, variants: Variants, length: int) -> None:
        """Remember what ``raw_path`` gives; ``length`` is that of its content in bytes.

        A content that would take more than its share of the space is not remembered.
        """
        weight = len(raw_path) + _OVERHEAD + _COPIES * length
        if weight > self._most_bytes // _SHARES:
            return
        while self._weights and (
            len(self._weights) >= self._most_entries or self._bytes + weight > self._most_bytes
        ):
            oldest = next(iter(self._weights))
            self._bytes -= self._weights.pop(oldest)
            del self._known[oldest]
        self._weights[raw_path] = weight
        self._bytes += weight
        self._known[raw_path] = variants
