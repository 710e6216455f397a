"""Cache directives: Cache-Control (RFC 9111 §5.2) and targeted fields (RFC 9213)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LONGEST", "Directives", "directives", "seconds", "targeted_directives"]

LONGEST: Final = 2**31
"""Seconds that stand for any larger number (RFC 9111 §1.2.2)."""

CONFLICT: Final = b"?"
"""The argument of a directive that appears twice with different ones; no number, so stale."""

Directives = dict[bytes, bytes | None]
"""Directives by lower-cased name, each with its argument where it has one."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_find_directive: Final = re.compile(
    rb"[ \t,]*+(" + _TOKEN + rb")(?:=(?:\"((?:[^\"\\]|\\.)*+)\"|([^,\"\s]*+)))?+[ \t]*+(?=,|$)"
).match
# With the separators before it: one by one, each would be looked at as often as some precede it.
_find_malformed: Final = re.compile(rb"[ \t,]*+(?:[^,\"]|\"(?:[^\"\\]|\\.)*+\"?+)*+,?+").match

_INTEGER: Final = re.compile(rb"[0-9]+").fullmatch
_SIGNED: Final = re.compile(rb"-?[0-9]+").fullmatch
_find_targeted: Final = re.compile(
    rb"[ \t]*([a-z*][a-z0-9_\-.*]*)(?:=(-?[0-9]{1,15}|\?[01]"
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|\"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\"\\])*\"|:[A-Za-z0-9+/=]*:))?"
    rb"((?:;[ ]*[a-z*][a-z0-9_\-.*]*(?:=[^,;]*)?)*)[ \t]*(?:,|$)"
).match
"""A member of a structured dictionary, as far as cache directives use one (RFC 8941 §3.2)."""


def directives(values: Iterable[bytes]) -> Directives:
    """The directives of the field lines of Cache-Control; what is malformed is passed over."""
    found: Directives = {}
    for value in values:
        position = 0
        while position < len(value):
            match = _find_directive(value, position)
            if match is None:
                match = _find_malformed(value, position)
                if match is None or match.end() == position:
                    break
                position = match.end()
                continue
            name = match[1].lower()
            argument = match[3] if match[2] is None else match[2]
            if name in found and found[name] != argument:
                argument = CONFLICT
            found[name] = argument
            position = match.end()
    return found


def targeted_directives(values: Iterable[bytes]) -> Directives | None:
    """The directives of a targeted field such as CDN-Cache-Control (RFC 9213 §2.1).

    It is a structured dictionary: ``None`` where it is malformed, empty, or has a directive
    with an argument of a wrong type, for it is then to be ignored.
    """
    value = b", ".join(values)
    found: Directives = {}
    position = 0
    while position < len(value):
        match = _find_targeted(value, position)
        if match is None:
            return None
        name, argument = match[1], match[2]
        if name in _WITH_SECONDS and (argument is None or _SIGNED(argument) is None):
            return None
        if argument != b"?0":  # false: as if it were not there
            found[name] = None if argument == b"?1" else argument
        position = match.end()
    return found or None


_WITH_SECONDS: Final = frozenset(
    {b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"}
)


def seconds(found: Directives, name: bytes) -> int | None:
    """The delta-seconds of a directive; 0 where it is malformed, ``None`` where it is absent.

    RFC 9111 §4.2.1: what is invalid is best treated as stale.
    """
    if name not in found:
        return None
    argument = found[name]
    if argument is None or _INTEGER(argument) is None:
        return 0
    return int(argument) if len(argument) < 10 else min(int(argument[:12]), LONGEST)
