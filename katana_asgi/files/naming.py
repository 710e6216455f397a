"""What the name of a file decides: content type, Cache-Control, further fields."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote_from_bytes

from katana_asgi.config.media_types import OCTET_STREAM, compresses_well, media_type_of

if TYPE_CHECKING:
    from katana_asgi.config.static_files import StaticFiles
    from katana_asgi.http.message import Field

__all__ = ["Names", "Naming", "holds_hash"]

_IMMUTABLE: Final = b"public, max-age=31536000, immutable"  # RFC 8246

_SAFE: Final = "/:@!$&'()*+,;=-._~"  # RFC 3986 §3.3

# Build tools write eight to sixty-four hexadecimal digits, or base 62 and base 64 with at least
# one digit and one letter of each case, so that no word of a language is taken for one.
_find_hash: Final = re.compile(
    r"[.\-_](?:[0-9a-f]{8,64}"
    r"|(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[a-z])[A-Za-z0-9_-]{8,64})\."
).search
_find_digit_and_letter: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])").match


class Names(NamedTuple):
    """What is known of a file from its name."""

    path: str
    content_type: bytes
    may_have_sidecars: bool


class Naming:
    """The rules of one mount."""

    def __init__(self, settings: StaticFiles) -> None:
        self._types = {
            suffix.lower().lstrip("."): content_type
            for suffix, content_type in settings.media_types
        }
        self._patterns = [
            (pattern, value.encode("latin-1")) for pattern, value in settings.cache_control
        ]
        self._immutable = settings.immutable
        self._max_age = b""
        if settings.max_age is not None:
            self._max_age = b"public, max-age=%d" % settings.max_age
        self.plain_fields: list[Field] = [
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in settings.headers
        ]
        own = {name for name, _ in self.plain_fields}
        if settings.nosniff and b"x-content-type-options" not in own:
            self.plain_fields.append((b"x-content-type-options", b"nosniff"))
        self._own_cache_control = b"cache-control" in own

    def of(self, segments: list[bytes]) -> Names:
        """What the name of a file says."""
        path = os.fsdecode(b"/".join(segments))
        suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
        content_type = self._types.get(suffix) or media_type_of(path.rpartition("/")[2])
        compressible = compresses_well(content_type) or content_type == OCTET_STREAM
        return Names(path, content_type.encode("latin-1"), compressible)

    def fields(self, names: Names, vary: bool) -> list[Field]:
        """The fields of a response that do not depend on the content of the file."""
        fields = self.plain_fields.copy()
        cache_control = self._cache_control(names.path)
        if cache_control and not self._own_cache_control:
            fields.append((b"cache-control", cache_control))
        if vary:
            fields.append((b"vary", b"accept-encoding"))
        return fields

    def _cache_control(self, path: str) -> bytes:
        for pattern, value in self._patterns:
            name = path if "/" in pattern else path.rpartition("/")[2]
            if fnmatchcase(name, pattern.lstrip("/")):
                return value
        if self._immutable and holds_hash(path.rpartition("/")[2]):
            return _IMMUTABLE
        return self._max_age

    @staticmethod
    def quoted(name: bytes) -> bytes:
        """A name as an address spells it."""
        return quote_from_bytes(name, safe=_SAFE).encode("ascii")


def holds_hash(name: str) -> bool:
    """Whether a file's name has a hash of its content between two separators.

    Eight or more hexadecimal digits that are not all letters or all digits, such as
    ``app.3f9ac01b.js``, or as many characters of base 64, such as ``app-BkPx3-9Q.js``.
    """
    match = _find_hash(name)
    return match is not None and _find_digit_and_letter(match[0]) is not None
