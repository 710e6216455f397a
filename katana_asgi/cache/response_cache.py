"""The response cache of a worker: its store, its clocks, its counts, and the look-up of hits.

``lookup`` needs no task, no scope and no application. The wrapper uses it for every protocol
version; a connection may ask it before it begins a call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from katana_asgi.cache.flights import Flights
from katana_asgi.cache.invalidation import join, matcher
from katana_asgi.cache.request import CacheRequest
from katana_asgi.cache.store import ResponseStore
from katana_asgi.cache.stored import CachedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from katana_asgi.cache.invalidation import Invalidation
    from katana_asgi.http.message import Field

__all__ = ["Counts", "ResponseCache"]

MOST_OF_ONE: Final = 1024 * 1024
LOCK_TIMEOUT: Final = 5.0


class Counts:
    """What became of requests, for metrics; each is only ever increased."""

    __slots__ = ("bypassed", "collapsed", "hits", "misses", "refreshed", "stale_hits", "stored")

    def __init__(self) -> None:
        self.hits = 0
        self.stale_hits = 0
        self.misses = 0
        self.bypassed = 0
        self.collapsed = 0
        self.stored = 0
        self.refreshed = 0


class ResponseCache:
    """Stored responses, and what is under way to be stored.

    ``most`` are bytes of all responses, ``most_of_one`` of the content of one. A request waits
    at most ``lock_timeout`` seconds for the response to another one.
    """

    def __init__(
        self,
        most: int,
        *,
        most_of_one: int = MOST_OF_ONE,
        lock_timeout: float = LOCK_TIMEOUT,
        status_field: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store = ResponseStore(most, monotonic)
        self.flights = Flights()
        self.counts = Counts()
        self.most_of_one = most_of_one
        self.lock_timeout = lock_timeout
        self.monotonic = monotonic
        self.wall = wall
        self._status_field = status_field
        join(self)

    def lookup(
        self,
        method: str,
        scheme: str,
        raw_path: bytes,
        query: bytes,
        fields: Sequence[Field],
        root_path: str = "",
    ) -> CachedAnswer | None:
        """The stored answer to a request, where there is a fresh one; counted as a hit."""
        return self.answer(CacheRequest(method, scheme, raw_path, query, fields, root_path))

    def answer(self, request: CacheRequest, detail: str = "hit") -> CachedAnswer | None:
        """The same for a request that was taken apart already."""
        if not request.readable:
            return None
        stored = self.store.find(request)
        if stored is None:
            return None
        now = self.monotonic()
        if not stored.is_fresh(request, now):
            return None
        self.counts.hits += 1
        answer = stored.answer(request, now, self.wall())
        if self._status_field:
            ttl = stored.terms.lifetime - stored.age(now)
            return self.with_status(answer, f"{detail}; ttl={ttl}")
        return answer

    def forget(self, what: Invalidation) -> None:
        """Apply an invalidation; what is under way and may be meant is not stored."""
        matches = matcher(what)
        self.flights.spoil(matches)
        if what.kind == "tag":
            self.store.forget_tag(what.value)
        elif what.kind == "key" and not what.value.startswith(b"/"):
            self.store.forget_key(what.value)
        else:
            self.store.forget(matches)

    def with_status(self, answer: CachedAnswer, detail: str) -> CachedAnswer:
        """The same answer with Cache-Status, where that is asked for."""
        field = self.status_field(detail)
        if not field:
            return answer
        return CachedAnswer(answer.status, [*answer.fields, *field], answer.content)

    def status_field(self, detail: str) -> list[Field]:
        """Cache-Status (RFC 9211), where it is asked for: it reveals what others have requested."""
        if not self._status_field:
            return []
        return [(b"cache-status", b"katana; " + detail.encode("ascii"))]
