"""What may be stored, and for how long (RFC 9111 §3, §4.2): pure decisions.

Only what the application itself marks as fresh is stored; there are no heuristics. A lifetime
that says nothing of sharing (``max-age`` or Expires alone) is for requests that do not say who
asks; ``public``, ``s-maxage`` and CDN-Cache-Control (RFC 9213) are for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from katana_asgi.http.cache_control import (
    LONGEST,
    Directives,
    directives,
    seconds,
    targeted_directives,
)
from katana_asgi.http.dates import parse_http_date
from katana_asgi.http.fields import list_members

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.cache.request import CacheRequest
    from katana_asgi.http.message import Field

__all__ = ["REASONS_OF_REQUEST", "Terms", "storage_terms", "stored_fields", "vary_names"]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9111 §3.1"""

_OF_ONE_REQUEST: Final = frozenset(
    {
        b"age",
        b"server-timing",
        b"traceparent",
        b"tracestate",
        b"x-correlation-id",
        b"x-request-id",
    }
)
"""What is true of the first request only and must not reach the second."""

_OF_PERSONS: Final = frozenset({b"cookie", b"authorization"})

_OF_CONDITIONS: Final = frozenset({206, 304, 412, 416})
"""What only answers a condition or a range of one request."""

REASONS_OF_REQUEST: Final = frozenset({"request", "private-request"})
"""Why a response is not stored, where another request might have got one that is."""

_LONGEST_VARY: Final = 1024
"""Bytes of Vary, against a key that is made of everything."""


class Terms(NamedTuple):
    """On what terms a response is stored.

    ``lifetime`` and ``age`` are seconds, ``age`` what it has when it arrives. ``shared``: it may
    answer a request that says who asks. ``strict``: never while stale. ``vary`` names request
    fields.
    """

    lifetime: int
    age: int
    shared: bool
    strict: bool
    while_revalidate: int
    if_error: int
    vary: tuple[bytes, ...]


def storage_terms(
    request: CacheRequest, status: int, fields: Iterable[Field], now: float, delay: float = 0.0
) -> Terms | str:
    """The terms for a response, or why it is not stored.

    ``now`` is the time of arrival in seconds since the epoch, ``delay`` what it took.
    """
    known: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        known.setdefault(name.lower(), []).append(value)
    if status < 200 or status in _OF_CONDITIONS or status >= 500:
        return "status"
    if known.get(b"content-type", [b""])[0].strip().lower().startswith(b"text/event-stream"):
        return "event-stream"  # it may have no end
    if b"set-cookie" in known or b"set-cookie2" in known:
        return "set-cookie"
    targeted = targeted_directives(known.get(b"cdn-cache-control", ()))
    found = directives(known.get(b"cache-control", ())) if targeted is None else targeted
    if b"no-store" in request.directives:
        return "private-request"
    if b"no-store" in found or b"private" in found:
        return "not-storable"
    if b"no-cache" in found:
        return "no-cache"
    shared = b"public" in found or b"s-maxage" in found or targeted is not None
    if request.private and not shared:
        return "private-request"
    vary = vary_names(known.get(b"vary", ()))
    if vary is None:
        return "vary"
    lifetime = _lifetime(found, known if targeted is None else {}, now)
    if lifetime is None:
        return "no-lifetime"
    age = _initial_age(known, now, delay)
    if age >= lifetime:
        return "stale"
    strict = not found.keys().isdisjoint({b"must-revalidate", b"proxy-revalidate", b"s-maxage"})
    return Terms(
        lifetime,
        age,
        shared,
        strict,
        0 if strict else seconds(found, b"stale-while-revalidate") or 0,
        0 if strict else seconds(found, b"stale-if-error") or 0,
        vary,
    )


def vary_names(values: Iterable[bytes]) -> tuple[bytes, ...] | None:
    """The request fields that Vary names, sorted; ``None`` where no key could be made of them."""
    joined = b",".join(values)
    if len(joined) > _LONGEST_VARY:
        return None
    names = set(list_members(joined))
    if b"*" in names or not names.isdisjoint(_OF_PERSONS):
        return None
    return tuple(sorted(names))


def _lifetime(found: Directives, known: dict[bytes, list[bytes]], now: float) -> int | None:
    """RFC 9111 §4.2.1; ``None`` where nothing is said."""
    for name in (b"s-maxage", b"max-age"):
        explicit = seconds(found, name)
        if explicit is not None:
            return explicit
    expires = known.get(b"expires")
    if expires is None:
        return None
    until = parse_http_date(expires[0]) if len(expires) == 1 else None
    return 0 if until is None else min(LONGEST, max(0, until - int(_date(known, now))))


def _initial_age(known: dict[bytes, list[bytes]], now: float, delay: float) -> int:
    """RFC 9111 §4.2.3; of several values of Age the first counts (§5.1)."""
    said = 0
    if b"age" in known:
        first = known[b"age"][0].partition(b",")[0].strip()
        if first.isdigit():
            said = min(int(first[:12]), LONGEST)
    apparent = max(0.0, now - _date(known, now))
    return int(max(apparent, said + delay))


def _date(known: dict[bytes, list[bytes]], now: float) -> float:
    dates = known.get(b"date", ())
    date = parse_http_date(dates[0]) if len(dates) == 1 else None
    return now if date is None else date


def stored_fields(fields: Iterable[Field]) -> list[Field]:
    """The fields of a response that are stored: not those of one connection or one request."""
    lowered = [(name.lower(), value) for name, value in fields]
    named = {
        member for name, value in lowered if name == b"connection" for member in list_members(value)
    }
    left_out = _HOP_BY_HOP | _OF_ONE_REQUEST | named
    return [field for field in lowered if field[0] not in left_out]
