"""What an access log line may say: the names, the presets, and the grammar of a format.

Names in ``%(…)s`` are those of gunicorn, and longer ones that JSON uses as keys. How a name
gets its value is known to ``observe/access_format.py``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from katana_asgi.config.refusal import NotAllowed

__all__ = [
    "ATOMS",
    "FIELDS",
    "JSON_FIELDS",
    "PRESETS",
    "Atom",
    "check_access_field",
    "check_access_format",
    "parse_atom",
    "parse_format",
]

ATOMS: Final = frozenset("hlutrmUqHsbBfaTDMLp")
"""gunicorn's names of one letter."""

FIELDS: Final = (
    "time", "request_id", "trace_id", "client", "method", "target", "path", "query", "protocol",
    "status", "duration", "bytes_in", "bytes_out", "tls", "pid", "messages_in", "messages_out",
    "remark", "cache", "host", "referer", "user_agent",
)  # fmt: skip
"""The longer names."""

JSON_FIELDS: Final = (
    "time", "request_id", "trace_id", "client", "method", "target", "protocol", "status",
    "duration", "bytes_in", "bytes_out", "messages_in", "messages_out", "tls", "pid", "remark",
)  # fmt: skip
"""What the preset ``json`` says, in this order."""

PRESETS: Final = {
    "short": '%(client)s - "%(request)s" %(s)s %(phrase)s%(note)s',
    "common": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s',
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
}
"""Formats with a name. ``json`` is another; ``auto`` is one of them."""

_OF_SHORT: Final = frozenset({"request", "phrase", "note"})

_match_item: Final = re.compile(r"%(?:\(([^()]*)\)s|%)").match
_match_argument: Final = re.compile(r"\{([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\}([ioe])").fullmatch
_match_control: Final = re.compile(r"[\x00-\x1f\x7f]").search


class Atom(NamedTuple):
    """One value of a line: a name, or ``i``, ``o`` or ``e`` with a field's or variable's name."""

    name: str
    argument: str = ""


Part: TypeAlias = str | Atom


def parse_atom(name: str) -> Atom:
    """What stands between ``%(`` and ``)s``. Raises ``NotAllowed`` for an unknown name."""
    argument = _match_argument(name)
    if argument is not None:
        return Atom(argument[2], argument[1] if argument[2] == "e" else argument[1].lower())
    if name not in ATOMS and name not in FIELDS and name not in _OF_SHORT:
        allowed = f"{' '.join(sorted(ATOMS))}, {{name}}i, {{name}}o, {{name}}e, {', '.join(FIELDS)}"
        raise NotAllowed(name, allowed, "is not a name in an access log")
    return Atom(name)


def parse_format(text: str) -> list[Part]:
    """The text and the atoms of a format, a preset's name being one.

    Raises ``NotAllowed`` for an unknown name, a lone ``%``, and text without any atom.
    """
    text = PRESETS.get(text, text)
    parts: list[Part] = []
    position = 0
    while (found := text.find("%", position)) >= 0:
        parts.append(text[position:found])
        item = _match_item(text, found)
        if item is None:
            raise NotAllowed(text[found:], "%(name)s, or %% for a percent sign")
        parts.append("%" if item[1] is None else parse_atom(item[1]))
        position = item.end()
    parts.append(text[position:])
    if not any(isinstance(part, Atom) for part in parts):
        presets = ", ".join(("auto", *PRESETS, "json"))
        raise NotAllowed(text, f"{presets}, or a format with names such as %(h)s")
    return [part for part in parts if part != ""]


def check_access_format(value: str) -> None:
    """A preset or a format."""
    if value not in ("auto", "json"):
        if _match_control(value):
            raise NotAllowed(value, "one line of text")
        parse_format(value)


def check_access_field(member: str) -> None:
    """A name that a format could have."""
    parse_atom(member)
