"""What a cache needs to know of a request: its key, its fields, what it allows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.cache.unkeyed import chooses_beside_the_key
from katana_asgi.http.cache_control import LONGEST, Directives, directives, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from katana_asgi.http.message import Field

__all__ = ["CONDITIONAL", "CacheRequest", "cache_key", "cache_outcome_of", "note_outcome"]

CONDITIONAL: Final = frozenset(
    {
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
    }
)

_DEFAULT_PORTS: Final = {"http": b":80", "https": b":443"}

_SPECIAL: Final = CONDITIONAL | {
    b"cache-control",
    b"content-length",
    b"expect",
    b"pragma",
    b"range",
    b"transfer-encoding",
    b"upgrade",
}
"""The fields that make a request more than the question for one resource."""

_DEMANDS: Final = frozenset({b"no-cache", b"max-age", b"min-fresh"})

_NO_DIRECTIVES: Final[Directives] = {}


_OUTCOME: Final = "katana_asgi.cache"
"""Where a scope holds what the cache did for its request, for the access log."""


def note_outcome(scope: Any, outcome: str) -> None:
    """Note what became of a request: hit, collapsed, stale, revalidated, miss or bypass."""
    scope[_OUTCOME] = outcome


def cache_outcome_of(scope: Any) -> str | None:
    """What was noted of a request; ``None`` where no cache has seen it."""
    outcome: str | None = scope.get(_OUTCOME)
    return outcome


def cache_key(scheme: str, host: bytes, raw_path: bytes, query: bytes) -> bytes:
    """What identifies a resource: scheme, host and target, the target exactly as sent."""
    target = raw_path + b"?" + query if query else raw_path
    return _origin(scheme, host) + target


@lru_cache(maxsize=256)
def _origin(scheme: str, host: bytes) -> bytes:
    host = host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, b"\0"))
    return scheme.encode("ascii") + b"://" + host


def _joined(fields: Iterable[Field]) -> dict[bytes, bytes]:
    known: dict[bytes, bytes] = {}
    for name, value in fields:
        known[name] = known[name] + b", " + value if name in known else value
    return known


def _directives_of(known: dict[bytes, bytes]) -> Directives:
    cache_control = known.get(b"cache-control")
    if cache_control is not None:
        return directives([cache_control])
    if known.get(b"pragma", b"").strip().lower() == b"no-cache":  # RFC 9111 §5.4
        return {b"no-cache": None}
    return _NO_DIRECTIVES


class CacheRequest:
    """A request as the cache sees it; field lines of one name are joined.

    ``plain``: none of its fields asks a cache for anything, so most questions need no answer.
    """

    __slots__ = (
        "directives",
        "fields",
        "head",
        "host",
        "key",
        "method",
        "plain",
        "root_path",
        "scheme",
    )

    def __init__(
        self,
        method: str,
        scheme: str,
        raw_path: bytes,
        query: bytes,
        fields: Sequence[Field],
        root_path: str = "",
    ) -> None:
        known = dict(fields)
        if len(known) != len(fields):
            known = _joined(fields)
        self.fields = known
        self.method = method
        self.head = method == "HEAD"
        self.scheme = scheme
        self.root_path = root_path
        self.host = known.get(b"host", b"")
        self.key = cache_key(scheme, self.host, raw_path, query)
        self.plain = method == "GET" and _SPECIAL.isdisjoint(known)
        self.directives = _NO_DIRECTIVES if self.plain else _directives_of(known)

    @classmethod
    def of(cls, scope: Any) -> CacheRequest:
        """The request of an ASGI scope."""
        return cls(
            scope["method"],
            scope["scheme"],
            scope["raw_path"],
            scope["query_string"],
            list(scope["headers"]),
            scope.get("root_path", ""),
        )

    @property
    def readable(self) -> bool:
        """Whether a stored response may answer it: GET or HEAD, and nothing but a response."""
        fields = self.fields
        return self.plain or (
            self.method in ("GET", "HEAD")
            and b"upgrade" not in fields
            and b"expect" not in fields
            and b"transfer-encoding" not in fields
            and fields.get(b"content-length", b"0") == b"0"
        )

    @property
    def private(self) -> bool:
        """Whether it says who asks."""
        return b"cookie" in self.fields or b"authorization" in self.fields

    @property
    def conditional(self) -> bool:
        """Whether a condition or a range may make its response less than the whole one."""
        return not CONDITIONAL.isdisjoint(self.fields) or b"range" in self.fields

    @property
    def unkeyed(self) -> bool:
        """Whether a field that is not in the key may have chosen the response.

        A proxy's fields are harmless where they say what the key says. Anything else could
        store a response under an address that others ask for.
        """
        target = self.key[self.key.find(b"/", self.key.find(b"://") + 3) :]
        return chooses_beside_the_key(self.fields, self.scheme, self.host, target, self.root_path)

    @property
    def demanding(self) -> bool:
        """Whether it asks for something fresher than what the cache would serve."""
        return not _DEMANDS.isdisjoint(self.directives)

    def accepts_age(self, age: int, lifetime: int) -> bool:
        """Whether a response of this age is as fresh as the request asks (RFC 9111 §5.2.1)."""
        wanted = self.directives
        if not wanted:
            return age < lifetime
        if b"no-cache" in wanted:
            return False
        oldest = seconds(wanted, b"max-age")
        if oldest is not None and age > oldest:
            return False
        left = lifetime - age - (seconds(wanted, b"min-fresh") or 0)
        return left > 0

    def accepts_stale(self, age: int, lifetime: int) -> bool:
        """Whether the request itself allows a response that has been stale for this long."""
        wanted = self.directives
        if b"max-stale" not in wanted or b"no-cache" in wanted:
            return False
        oldest = seconds(wanted, b"max-age")
        if oldest is not None and age > oldest:
            return False
        most = LONGEST if wanted[b"max-stale"] is None else seconds(wanted, b"max-stale")
        return age - lifetime <= (most or 0)
