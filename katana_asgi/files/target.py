"""From the path of a request target to the segments of a file's name.

A path is decoded once, segment by segment, and refused rather than repaired: what is left of
it names exactly one place below a root, on any file system and behind any proxy.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["Target", "parse_target"]

_LONGEST: Final = 4096
"""Bytes of a path, against work for names that no file system has (PATH_MAX)."""

_WELL_KNOWN: Final = b".well-known"  # RFC 8615

_find_bad_escape: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_find_forbidden: Final = re.compile(rb"[\x00/\\]").search
"""In a decoded segment: the end of a C string, and what separates segments somewhere."""


class Target(NamedTuple):
    """The decoded segments of a path, and whether it ends in a slash."""

    segments: list[bytes]
    directory: bool


def parse_target(path: bytes, dotfiles: bool = False) -> Target | None:
    """The target of a path as sent, below its root; ``None`` for what can name no file.

    ``path`` is empty or starts with a slash. Names that start with a dot are not served,
    except below ``.well-known``, or where ``dotfiles`` allows them.
    """
    if len(path) > _LONGEST or _find_bad_escape(path):
        return None
    if path in (b"", b"/"):
        return Target([], path == b"/")
    parts = path[1:].split(b"/")
    directory = not parts[-1]
    if directory:
        parts.pop()
    segments = [unquote_to_bytes(part) if b"%" in part else part for part in parts]
    for place, segment in enumerate(segments):
        if not segment or segment in (b".", b"..") or _find_forbidden(segment):
            return None
        hidden = segment.startswith(b".") and not (place == 0 and segment == _WELL_KNOWN)
        if hidden and not dotfiles:
            return None
    return Target(segments, directory)
