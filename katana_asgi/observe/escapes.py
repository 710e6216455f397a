"""How what a client sent is made harmless in a log: in a line of text, and in JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from katana_asgi.codec import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["REDACTED", "as_json", "as_text", "redactor"]

REDACTED: Final = "[redacted]"

_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0x100))},
    0x22: "\\x22",
    0x5C: "\\x5c",
}
_find_wide: Final = re.compile(r"[^\x00-\xff]").search


def as_text(value: object) -> str:
    """ASCII without quotes, backslashes and control characters; a dash where there is nothing."""
    if isinstance(value, bytes):
        plain = printable(value)
        if plain:
            return plain
        value = value.decode("latin-1")
    elif value is None or isinstance(value, bool | int | float):
        return "-" if value is None else str(value)
    text = str(value)
    if text and _is_plain(text):
        return text
    if _find_wide(text):
        text = text.encode("utf-8", "backslashreplace").decode("latin-1")
    return text.translate(_ESCAPES) or "-"


def as_json(value: object) -> str:
    """A JSON value in ASCII; bytes become text, those that are not UTF-8 ``\\xff``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        plain = printable(value)
        if plain is not None:
            return f'"{plain}"'
        value = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, str) and _is_plain(value):
        return f'"{value}"'
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether text is the same in a line and within the quotes of JSON."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def redactor(names: Iterable[str]) -> Callable[[bytes], bytes] | None:
    """What hides the values of these query parameters in a target; ``None`` without names."""
    wanted = b"|".join(re.escape(name.encode("ascii")) for name in names)
    if not wanted:
        return None
    find = re.compile(rb"(?i)([?&;](?:%b)=)[^&;#\s]*" % wanted)
    replacement = rb"\1" + REDACTED.encode("ascii")

    def redact(target: bytes) -> bytes:
        return find.sub(replacement, target)

    return redact
