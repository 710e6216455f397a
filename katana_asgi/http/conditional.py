"""Validators and the preconditions that compare them (RFC 9110 §8.8, §13).

The date conditions are ignored where a response has no modification date, as §13.1.3 and
§13.1.4 demand.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from katana_asgi.codec import field_value
from katana_asgi.http.dates import parse_http_date

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = [
    "failed_precondition",
    "if_range_holds",
    "is_entity_tag",
    "lists_strongly",
    "lists_weakly",
    "strong_entity_tag",
]

_ENTITY_TAG: Final = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_match_entity_tag: Final = re.compile(_ENTITY_TAG).fullmatch
_find_entity_tags: Final = re.compile(_ENTITY_TAG).findall
# A tag may hold commas, so a list cannot be split at them; elements may be empty (RFC 9110
# §5.6.1.2). Possessive throughout: nothing a client sends makes the match backtrack.
_ELEMENT: Final = rb"[ \t]*+(?:" + _ENTITY_TAG + rb"[ \t]*+)?+"
_match_list: Final = re.compile(rb"(?:" + _ELEMENT + rb",)*+" + _ELEMENT).fullmatch

_SAFE_TO_REUSE: Final = ("GET", "HEAD")
_DIGITS: Final = 32  # 128 bits of SHA-256: no two contents of one path will share them


def strong_entity_tag(content: bytes) -> bytes:
    """The quoted strong entity tag of ``content``: the same bytes always give the same tag."""
    return b'"%s"' % hashlib.sha256(content).hexdigest()[:_DIGITS].encode("ascii")


def is_entity_tag(value: bytes) -> bool:
    """Whether ``value`` is one entity tag, weak or strong (RFC 9110 §8.8.3)."""
    return _match_entity_tag(value) is not None


def lists_weakly(value: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match value is ``*`` or lists ``etag`` by weak comparison (§13.1.2).

    A value that is not a list of entity tags lists nothing.
    """
    if value == etag or value == b"*":
        return True
    opaque = etag.removeprefix(b"W/")
    if value.find(opaque) < 0:  # what most clients hold of another version; cheaper than ``in``
        return False
    return any(listed.removeprefix(b"W/") == opaque for listed in _entity_tags(value))


def lists_strongly(value: bytes, etag: bytes) -> bool:
    """Whether an If-Match value is ``*`` or lists ``etag`` by strong comparison (§13.1.1)."""
    if value == b"*":
        return True
    return not etag.startswith(b"W/") and etag in _entity_tags(value)


def failed_precondition(
    method: str, fields: list[Field], etag: bytes, modified: int | None = None
) -> int:
    """The status that a failed precondition asks for: 304, 412, or 0 where none failed.

    ``etag`` is the entity tag of the response that would be sent, empty where it has none, and
    ``modified`` its modification date in seconds since the epoch. The order is that of
    RFC 9110 §13.2.2; several field lines of one name count as one list.
    """
    listed = field_value(fields, b"if-match")
    if listed is not None:
        if not lists_strongly(listed, etag):
            return 412
    elif modified is not None and _is_later(modified, fields):
        return 412
    listed = field_value(fields, b"if-none-match")
    if listed is not None:
        if lists_weakly(listed, etag):
            return 304 if method in _SAFE_TO_REUSE else 412
    elif modified is not None and method in _SAFE_TO_REUSE and _is_not_later(modified, fields):
        return 304
    return 0


def if_range_holds(value: bytes, etag: bytes, modified: int | None, now: float) -> bool:
    """Whether an If-Range value names exactly what would be sent (RFC 9110 §13.1.5).

    An entity tag is compared strongly. A date has to be equal, and strong: the content may have
    changed twice within a second that has not passed (§8.8.2.2).
    """
    if is_entity_tag(value):
        return value == etag and not etag.startswith(b"W/")
    date = parse_http_date(value)
    return date is not None and date == modified and now - date > 1


def _is_later(modified: int, fields: list[Field]) -> bool:
    limit = _date(fields, b"if-unmodified-since")
    return limit is not None and modified > limit


def _is_not_later(modified: int, fields: list[Field]) -> bool:
    limit = _date(fields, b"if-modified-since")
    return limit is not None and modified <= limit


def _date(fields: list[Field], name: bytes) -> int | None:
    """A date condition counts where it is one valid date (RFC 9110 §13.1.3, §13.1.4)."""
    value = field_value(fields, name)
    return None if value is None else parse_http_date(value)


def _entity_tags(value: bytes) -> list[bytes]:
    """The members of a list of entity tags; none at all where the list is malformed."""
    return _find_entity_tags(value) if _match_list(value) is not None else []
