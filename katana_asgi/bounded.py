"""A dictionary that holds no more than a given weight, and keeps what is asked for again.

S3-FIFO: what is new goes through a small queue, and only what was asked for there reaches the
main one. One client that asks for ever new things drives out the small queue, not what many
clients ask for. A hit writes one number and moves nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COPIED_UP_TO", "Bounded", "content_weight"]

COPIED_UP_TO: Final = 4 * 1024
"""Bytes of content of which a protocol version may keep a copy behind a rendered head. Whoever
bounds a memory of responses counts such content twice (``content_weight``)."""

K = TypeVar("K")
V = TypeVar("V")

_SMALL_SHARE: Final = 10
"""The small queue has a tenth of the weight."""

_LARGEST_SHARE: Final = 8
"""Entries that always fit, against one heavy value that drives all others out."""

_MOST_HITS: Final = 3

_MOST_GHOSTS: Final = 4096
"""Hashes of keys remembered after their values have gone, against endless new ones; the keys
themselves may be long."""


def content_weight(size: int) -> int:
    """The weight of ``size`` bytes of content in a memory of responses."""
    return size * 2 if size <= COPIED_UP_TO else size


class _Entry(Generic[V]):
    __slots__ = ("hits", "main", "value", "weight")

    def __init__(self, value: V, weight: int, main: bool) -> None:
        self.value = value
        self.weight = weight
        self.main = main
        self.hits = 0


class Bounded(Generic[K, V]):
    """Values by key, each with a weight; the sum of the weights never exceeds ``most``."""

    __slots__ = ("_entries", "_ghosts", "_main", "_most", "_small", "_small_weight", "weight")

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[K, _Entry[V]] = {}
        self._small: OrderedDict[K, None] = OrderedDict()
        self._main: OrderedDict[K, None] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_weight = 0
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        """The value of ``key``, which counts as asked for."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.hits < _MOST_HITS:
            entry.hits += 1
        return entry.value

    def peek(self, key: K) -> V | None:
        """The value of ``key``, which does not count as asked for."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: K, value: V, weight: int) -> bool:
        """Keep ``value`` instead of what ``key`` had; false where it is too heavy to be kept."""
        known = self._entries.get(key)
        if known is not None and weight <= self._most // _LARGEST_SHARE:
            self._add(known, weight - known.weight)
            known.value, known.weight = value, weight
        else:
            self.pop(key)
            if weight > self._most // _LARGEST_SHARE:
                return False
            ghost = hash(key)
            known = _Entry(value, weight, ghost in self._ghosts)
            self._ghosts.pop(ghost, None)
            self._entries[key] = known
            (self._main if known.main else self._small)[key] = None
            self._add(known, weight)
        while self.weight > self._most:
            self._evict()
        return key in self._entries

    def pop(self, key: K) -> V | None:
        """Forget ``key``."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        del (self._main if entry.main else self._small)[key]
        self._add(entry, -entry.weight)
        return entry.value

    def clear(self) -> None:
        """Forget everything."""
        for queue in (self._entries, self._small, self._main, self._ghosts):
            queue.clear()
        self._small_weight = self.weight = 0

    def _add(self, entry: _Entry[V], weight: int) -> None:
        self.weight += weight
        if not entry.main:
            self._small_weight += weight

    def _evict(self) -> None:
        """Advance one queue by one entry."""
        if self._small and (not self._main or self._small_weight * _SMALL_SHARE > self._most):
            key = next(iter(self._small))
            entry = self._entries[key]
            if entry.hits:
                self._promote(key, entry)
                return
            self._ghosts[hash(key)] = None
            if len(self._ghosts) > _MOST_GHOSTS:
                self._ghosts.popitem(last=False)
        else:
            key = next(iter(self._main))
            entry = self._entries[key]
            if entry.hits:
                entry.hits -= 1
                self._main.move_to_end(key)
                return
        self.pop(key)

    def _promote(self, key: K, entry: _Entry[V]) -> None:
        self._add(entry, -entry.weight)
        entry.main = True
        entry.hits = 0
        self._add(entry, entry.weight)
        del self._small[key]
        self._main[key] = None
