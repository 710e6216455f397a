"""How a client's text is made harmless inside content, by the type of the content.

Only types whose rules are known get an escape; the others cannot have a placeholder.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Escape", "charset_of", "escape_for", "escape_json"]

Escape: TypeAlias = "Callable[[str], str | None]"
"""Text to escaped text, or ``None`` for text that must not be inserted at all."""

_ACTIVE_TEXT: Final = ("css", "script", "xml")
"""text/… that is a program or mark-up: no single escape is right everywhere inside it."""

_find_charset: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE).search
_find_control: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]").search


def charset_of(content_type: str) -> str | None:
    """The charset parameter, lower-cased, where there is one."""
    found = _find_charset(content_type)
    return found[1].lower() if found is not None else None


def escape_for(content_type: str) -> Escape | None:
    """The escape for content of this type; ``None`` where there is no safe one."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/html":
        return _escape_html
    if media_type.endswith(("/json", "+json")):
        return escape_json
    if media_type.startswith("text/") and not media_type.endswith(_ACTIVE_TEXT):
        return _escape_text
    return None


def _escape_html(value: str) -> str | None:
    """For element content and quoted attribute values."""
    return None if _find_control(value) else html.escape(value, quote=True)


def escape_json(value: str) -> str:
    """For the inside of a JSON string; ASCII, so nothing depends on a charset."""
    return json.dumps(value)[1:-1]


def _escape_text(value: str) -> str | None:
    """Plain text needs no escape; control characters could still fool a terminal."""
    return None if _find_control(value) else value
