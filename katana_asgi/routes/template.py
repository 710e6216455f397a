"""Routes with a placeholder: one segment of the path, or a part of one, put into the content.

Works on the path as sent, so that an encoded slash stays inside its segment. The value is
percent-decoded, escaped for the content's type and never reaches a field.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from katana_asgi.errors import ConfigurationError
from katana_asgi.routes.escape import charset_of, escape_for, escape_json

if TYPE_CHECKING:
    from katana_asgi.routes.definition import Definition
    from katana_asgi.routes.escape import Escape
    from katana_asgi.routes.paths import Pattern

__all__ = ["Template"]

_LONGEST_SEGMENT: Final = 1024
"""Bytes of a value as sent, against clients that have large contents made; a name needs few."""

_is_segment: Final = re.compile(rb"(?:[^%/]|%[0-9A-Fa-f]{2})+").fullmatch

_PROBE: Final = '"\\{}'  # breaks JSON wherever it is not inside a string


class Template:
    """One route with a placeholder.

    Raises ``ConfigurationError`` where the placeholder stands in content of a type that has
    no safe escape, or in JSON outside a string.
    """

    __slots__ = ("_escape", "_longest", "_parts", "definition", "prefix", "suffix")

    def __init__(self, definition: Definition, pattern: Pattern) -> None:
        self.definition = definition
        self.prefix = pattern.prefix
        self.suffix = pattern.suffix
        self._longest = len(pattern.prefix) + len(pattern.suffix) + _LONGEST_SEGMENT
        self._parts = definition.body.split(pattern.marker.encode("ascii"))
        self._escape = self._safe_escape() if len(self._parts) > 1 else None

    def content_for(self, raw_path: bytes) -> bytes | None:
        """The content for a path as sent; ``None`` where the path does not match."""
        if not raw_path.startswith(self.prefix) or not raw_path.endswith(self.suffix):
            return None
        segment = raw_path[len(self.prefix) : len(raw_path) - len(self.suffix)]
        if len(raw_path) > self._longest or _is_segment(segment) is None:
            return None
        try:
            value = unquote_to_bytes(segment).decode("utf-8")
        except UnicodeDecodeError:
            return None
        if self._escape is None:  # the body does not name the placeholder
            return self._parts[0]
        escaped = self._escape(value)
        return None if escaped is None else escaped.encode("utf-8").join(self._parts)

    def _safe_escape(self) -> Escape:
        content_type = self.definition.content_type
        where = f"static route {self.definition.path!r}"
        escape = escape_for(content_type)
        if escape is None:
            raise ConfigurationError(
                f"{where}: a placeholder is for HTML, JSON and plain text, not {content_type!r}"
            )
        if charset_of(content_type) not in (None, "utf-8", "utf8", "us-ascii"):
            raise ConfigurationError(f"{where}: a placeholder needs UTF-8, not {content_type!r}")
        if escape is escape_json and not _stands_in_strings(self._parts):
            raise ConfigurationError(
                f"{where}: the body is JSON with the placeholder inside a string"
            )
        return escape


def _stands_in_strings(parts: list[bytes]) -> bool:
    """Whether JSON in parts stays JSON with an escaped value that could end a string between."""
    try:
        json.loads(escape_json(_PROBE).encode("ascii").join(parts))
    except ValueError:
        return False
    return True
