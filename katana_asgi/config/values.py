"""From what was given to a checked value, and from a value to text.

One function for each place a value can come from; all of them raise ``ConfigurationError``
with one line that starts with ``origin``, the place as a person names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.fraction import FractionKind
from katana_asgi.config.kinds import (
    ApplicationKind,
    BooleanKind,
    ChoiceKind,
    DurationKind,
    IntegerKind,
    LogConfigKind,
    LoopKind,
    PathKind,
    ProcessesKind,
    SizeKind,
    SwitchKind,
    TextKind,
    ValueKind,
)
from katana_asgi.config.members import (
    BindsKind,
    CertificateKind,
    FieldKind,
    FileRouteKind,
    ListKind,
    RouteKind,
)
from katana_asgi.config.refusal import at
from katana_asgi.config.static_files import StaticDirKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from katana_asgi.config.setting import Kind, Setting

__all__ = ["KINDS", "from_environment", "from_python", "from_texts", "from_toml", "to_text"]

KINDS: Final[Mapping[Kind, ValueKind]] = {
    "application": ApplicationKind(),
    "text": TextKind(),
    "integer": IntegerKind(),
    "boolean": BooleanKind(),
    "choice": ChoiceKind(),
    "switch": SwitchKind(),
    "processes": ProcessesKind(),
    "loop": LoopKind(),
    "duration": DurationKind(),
    "size": SizeKind(),
    "fraction": FractionKind(),
    "path": PathKind(),
    "log-config": LogConfigKind(),
    "list": ListKind(),
    "field": FieldKind(),
    "binds": BindsKind(),
    "route": RouteKind(),
    "file-route": FileRouteKind(),
    "static-dir": StaticDirKind(),
    "certificate": CertificateKind(),
}


def from_texts(setting: Setting, texts: Sequence[str], origin: str) -> Any:
    """The value of the texts of a flag: each a member where it is repeatable, else the last.

    Lists add up.
    """
    kind = KINDS[setting.kind]
    with at(origin):
        if setting.kind == "list":
            return _checked(setting, kind.from_text(setting, ",".join(texts)))
        if setting.repeatable:
            return _checked(setting, [kind.from_text(setting, text) for text in texts])
        return _checked(setting, kind.from_text(setting, texts[-1]))


def from_environment(setting: Setting, text: str, origin: str) -> Any:
    """The value of an environment variable; of a repeatable setting, a member in each line.

    ``None`` where the variable is empty and an empty value would mean nothing.
    """
    if not text.strip() and not KINDS[setting.kind].empty_is_value:
        return None
    texts = [line for line in text.splitlines() if line.strip()] if setting.repeatable else [text]
    return from_texts(setting, texts, origin)


def from_toml(setting: Setting, value: object, origin: str) -> Any:
    """The value of what a file says."""
    with at(origin):
        return _checked(setting, KINDS[setting.kind].from_toml(setting, value))


def from_python(setting: Setting, value: Any, origin: str) -> Any:
    """The value of what a program gives.

    Text is read as from a variable, lists will do for tuples; ``None`` is no limit where 0 is,
    else the default.
    """
    kind = KINDS[setting.kind]
    with at(origin):
        if setting.kind == "application":
            return _checked(setting, value)
        if value is None:
            return 0 if setting.unlimited else setting.default
        meant = kind.from_python(setting, value)
        return setting.default if meant is None else _checked(setting, meant)


def to_text(setting: Setting, value: Any) -> str:
    """The value as a flag or variable gives it; ``None`` is empty."""
    return "" if value is None else KINDS[setting.kind].to_text(setting, value)


def _checked(setting: Setting, value: Any) -> Any:
    value = KINDS[setting.kind].checked(setting, value)
    if setting.check is not None:
        for member in value if isinstance(value, tuple) else (value,):
            setting.check(member)
    return value
