"""Which responses are compressed, and what that makes of their fields: pure decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from katana_asgi.config.media_types import compresses_well
from katana_asgi.http.cache_control import directives
from katana_asgi.http.fields import list_members
from katana_asgi.http.status import NO_CONTENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.http.message import Field

__all__ = ["Eligibility", "coded_fields", "eligibility", "type_filter", "with_vary"]

_EXCLUDED_STATUS: Final = NO_CONTENT | {205, 206, 304, 416}
"""Without content, or with a part of a representation whose coding is fixed."""

_ABOUT_THESE_BYTES: Final = frozenset(
    {b"content-md5", b"digest", b"content-digest", b"repr-digest", b"content-range"}
)
"""What would be untrue of other bytes, and what the application took care to compute."""

EVENT_STREAM: Final = "text/event-stream"


class Eligibility(NamedTuple):
    """Whether a response could be compressed; ``length`` where Content-Length gives it."""

    eligible: bool
    length: int | None
    event_stream: bool


_NO: Final = Eligibility(eligible=False, length=None, event_stream=False)


def type_filter(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a content type is to be compressed; with no patterns, the table decides.

    A pattern is a media type, or the beginning of one with ``*`` at its end.
    """
    exact = {pattern.lower() for pattern in patterns if not pattern.endswith("*")}
    prefixes = tuple(pattern[:-1].lower() for pattern in patterns if pattern.endswith("*"))
    if not exact and not prefixes:
        return compresses_well

    def wanted(content_type: str) -> bool:
        media_type = content_type.partition(";")[0].strip().lower()
        return media_type in exact or media_type.startswith(prefixes or "\0")

    return wanted


def eligibility(status: int, fields: Iterable[Field], wanted: Callable[[str], bool]) -> Eligibility:
    """What the head of a response says about compressing its content."""
    if status in _EXCLUDED_STATUS or status < 200:
        return _NO
    content_type = ""
    length = None
    cache_control = []
    for name, value in fields:
        match name.lower():
            case b"content-type":
                content_type = value.decode("latin-1")
            case b"content-length":
                length = int(value) if value.isdigit() else None
            case b"cache-control":
                cache_control.append(value)
            case b"content-encoding" if value.strip().lower() not in (b"", b"identity"):
                return _NO
            case lowered if lowered in _ABOUT_THESE_BYTES:
                return _NO
    # RFC 9111 §5.2.2.6: an intermediary must not transform such content.
    if cache_control and b"no-transform" in directives(cache_control):
        return _NO
    if not wanted(content_type):
        return _NO
    event_stream = content_type.partition(";")[0].strip().lower() == EVENT_STREAM
    return Eligibility(eligible=True, length=length, event_stream=event_stream)


def coded_fields(fields: Iterable[Field], coding: bytes, length: int | None) -> list[Field]:
    """The fields of a response once its content is coded; ``length`` where that is known.

    The entity tag becomes weak: the coded bytes may differ from one time to the next
    (RFC 9110 §8.8.3.3). Ranges are of the plain bytes, so they are not offered.
    """
    kept = []
    for name, value in fields:
        match name.lower():
            case b"content-length" | b"accept-ranges" | b"content-encoding":
                continue
            case b"etag" if not value.startswith(b"W/"):
                kept.append((name, b"W/" + value))
            case _:
                kept.append((name, value))
    kept.append((b"content-encoding", coding))
    if length is not None:
        kept.append((b"content-length", b"%d" % length))
    return kept


def with_vary(fields: Iterable[Field]) -> list[Field]:
    """The same fields with Accept-Encoding in Vary, once (RFC 9110 §12.5.5)."""
    kept = list(fields)
    for name, value in kept:
        if name.lower() == b"vary" and {b"accept-encoding", b"*"} & set(list_members(value)):
            return kept
    kept.append((b"vary", b"accept-encoding"))
    return kept
