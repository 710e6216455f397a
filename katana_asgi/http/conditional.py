"""Entity tags and the preconditions that compare them (RFC 9110 §8.8.3, §13).

Only what a response without a modification date needs: If-Match and If-None-Match. The
date conditions are ignored where no date exists, as §13.1.3 and §13.1.4 demand.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.http.message import Field

__all__ = [
    "failed_precondition",
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
    return any(listed.removeprefix(b"W/") == opaque for listed in _entity_tags(value))


def lists_strongly(value: bytes, etag: bytes) -> bool:
    """Whether an If-Match value is ``*`` or lists ``etag`` by strong comparison (§13.1.1)."""
    if value == b"*":
        return True
    return not etag.startswith(b"W/") and etag in _entity_tags(value)


def failed_precondition(method: str, fields: Iterable[Field], etag: bytes) -> int:
    """The status that a failed precondition asks for: 304, 412, or 0 where none failed.

    ``etag`` is the entity tag of the response that would be sent. The order is that of
    RFC 9110 §13.2.2; several field lines of one name count as one list.
    """
    required: list[bytes] = []
    known: list[bytes] = []
    for name, value in fields:
        if name == b"if-none-match":
            known.append(value)
        elif name == b"if-match":
            required.append(value)
    if required and not lists_strongly(_joined(required), etag):
        return 412
    if known and lists_weakly(_joined(known), etag):
        return 304 if method in _SAFE_TO_REUSE else 412
    return 0


def _joined(values: list[bytes]) -> bytes:
    return values[0] if len(values) == 1 else b", ".join(values)


def _entity_tags(value: bytes) -> list[bytes]:
    """The members of a list of entity tags; none at all where the list is malformed."""
    return _find_entity_tags(value) if _match_list(value) is not None else []
