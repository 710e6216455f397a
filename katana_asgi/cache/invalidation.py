"""Forgetting stored responses before their time: here, and in all other workers.

An invalidation is a small value that travels between processes. The caches of this process
apply it at once; ``relay`` passes it on, so that other workers follow some milliseconds later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias
from urllib.parse import quote, urlsplit
from weakref import WeakSet

from katana_asgi.cache.request import cache_key

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Invalidation", "Kind", "apply", "invalidate", "join", "matcher", "set_relay"]

_AS_WRITTEN = "/%:@!$&'()*+,;=-._~?"


Kind: TypeAlias = Literal["key", "prefix", "tag", "all"]


class Invalidation(NamedTuple):
    """What to forget: one key, what begins with a prefix, what has a tag, or everything."""

    kind: Kind
    value: bytes = b""


class Invalidated(Protocol):
    """A cache that hears of invalidations."""

    def forget(self, what: Invalidation) -> None:
        """Apply an invalidation."""


_caches: WeakSet[Invalidated] = WeakSet()
_relays: list[Callable[[Invalidation], None]] = []


def join(cache: Invalidated) -> None:
    """Let ``cache`` hear of the invalidations of this process, as long as it lives."""
    _caches.add(cache)


def set_relay(relay: Callable[[Invalidation], None] | None) -> None:
    """What passes invalidations on to other workers; ``None`` for nothing."""
    _relays[:] = [relay] if relay is not None else []


def apply(what: Invalidation) -> None:
    """Apply an invalidation to this process only, as one that another worker relayed."""
    for cache in list(_caches):
        cache.forget(what)


def publish(what: Invalidation) -> None:
    """Apply an invalidation here and pass it on."""
    apply(what)
    for relay in _relays:
        relay(what)


def invalidate(
    url: str | None = None, *, prefix: str | None = None, tag: str | None = None
) -> None:
    """Forget stored responses, in this worker at once and in the others soon after.

    ``url`` is one address, ``prefix`` the beginning of some; both are a path (``/news``, on
    every host) or start with scheme and host. ``tag`` is a word of the application's Cache-Tag
    or Surrogate-Key field. Without arguments everything is forgotten.

    Raises ``ValueError`` for more than one argument and for an address that is none.
    """
    if sum(argument is not None for argument in (url, prefix, tag)) > 1:
        raise ValueError("invalidate() has one of url, prefix and tag, or none for everything")
    if url is not None:
        publish(Invalidation("key", _as_key(url)))
    elif prefix is not None:
        publish(Invalidation("prefix", _as_key(prefix)))
    elif tag is not None:
        publish(Invalidation("tag", tag.encode("latin-1")))
    else:
        publish(Invalidation("all"))


def _as_key(address: str) -> bytes:
    """A path as it is sent, or the key of a whole address."""
    quoted = quote(address, safe=_AS_WRITTEN)
    if address.startswith("/") and not address.startswith("//"):
        return quoted.encode("ascii")
    parts = urlsplit(quoted)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{address!r} is no path and no http or https address")
    host = parts.netloc.rpartition("@")[2].encode("ascii")
    path = parts.path.encode("ascii") or b"/"
    return cache_key(parts.scheme, host, path, parts.query.encode("ascii"))


def matcher(what: Invalidation) -> Callable[[bytes], bool]:
    """Whether a key is meant; with a tag any may be, because a key does not hold its tags."""
    value = what.value
    if what.kind in ("all", "tag"):
        return _any
    of_every_host = value.startswith(b"/")

    def matches(key: bytes) -> bool:
        place = key
        if of_every_host:
            start = key.find(b"/", key.find(b"://") + 3)
            place = key[start:]
        return place == value if what.kind == "key" else place.startswith(value)

    return matches


def _any(key: bytes) -> bool:
    return True
