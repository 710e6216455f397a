"""The stored responses of a worker: by key and variant, bounded, forgotten on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from katana_asgi.cache.request import CacheRequest
    from katana_asgi.cache.stored import StoredResponse

__all__ = ["ResponseStore"]

_MOST_VARIANTS: Final = 16
"""Variants of one key, against clients that send ever new values of what Vary names."""

_MOST_PASSES: Final = 4096
"""Hashes of keys remembered as not worth waiting for, against endless new ones; the keys
themselves may be long. Two keys with one hash would only not wait."""


class ResponseStore:
    """Responses by key; the latest of a key's variants comes first."""

    __slots__ = ("_monotonic", "_passes", "_responses")

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._responses: Bounded[bytes, list[StoredResponse]] = Bounded(most)
        self._passes: Bounded[int, float] = Bounded(_MOST_PASSES)
        self._monotonic = monotonic

    def __len__(self) -> int:
        return sum(len(variants) for _, variants in self._all())

    @property
    def weight(self) -> int:
        """Bytes that the stored responses take."""
        return self._responses.weight

    def find(self, request: CacheRequest) -> StoredResponse | None:
        """The response that was stored for such a request, fresh or not."""
        for stored in self._responses.get(request.key) or ():
            if stored.matches(request) and stored.serves(request):
                return stored
        return None

    def has_variants(self, key: bytes) -> bool:
        """Whether there is a response for the key, if only for other requests."""
        return self._responses.peek(key) is not None

    def add(self, key: bytes, response: StoredResponse) -> bool:
        """Store a response in place of the one for the same requests.

        False where it is too large for what the store may hold.
        """
        others = self._responses.peek(key) or []
        kept = [other for other in others if not other.same_variant(response)]
        variants = [response, *kept][:_MOST_VARIANTS]
        self._passes.pop(hash(key))
        while not self._responses.put(key, variants, sum(each.weight for each in variants)):
            if len(variants) == 1:
                return False
            variants.pop()
        return True

    def discard(self, key: bytes, response: StoredResponse) -> None:
        """Forget one response."""
        variants = [each for each in self._responses.peek(key) or [] if each is not response]
        if variants:
            self._responses.put(key, variants, sum(each.weight for each in variants))
        else:
            self._responses.pop(key)

    def pass_for(self, key: bytes, duration: float) -> None:
        """Remember for ``duration`` seconds that requests need not wait for each other."""
        self._passes.put(hash(key), self._monotonic() + duration, 1)

    def passes(self, key: bytes) -> bool:
        """Whether the last response for the key could not be stored."""
        until = self._passes.get(hash(key))
        return until is not None and self._monotonic() < until

    def forget_key(self, key: bytes) -> None:
        """Forget all variants of a key."""
        self._responses.pop(key)

    def forget(self, matches: Callable[[bytes], bool]) -> int:
        """Forget the keys that match; how many there were."""
        keys = [key for key in self._responses if matches(key)]
        for key in keys:
            self._responses.pop(key)
        return len(keys)

    def forget_tag(self, tag: bytes) -> int:
        """Forget the responses that have a tag; how many there were."""
        found = [
            (key, each) for key, variants in self._all() for each in variants if tag in each.tags
        ]
        for key, each in found:
            self.discard(key, each)
        return len(found)

    def _all(self) -> Iterator[tuple[bytes, list[StoredResponse]]]:
        for key in self._responses:
            yield key, self._responses.peek(key) or []
