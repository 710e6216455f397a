"""The kinds of settings with one value: how each is read, checked and written.

Text comes from flags and environment, TOML values from files, objects from Python. All three
end in ``checked``, so that a value means and may be the same wherever it comes from.
"""

from __future__ import annotations

import io
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.processors import usable_processors
from katana_asgi.config.refusal import NotAllowed
from katana_asgi.config.units import format_duration, format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from katana_asgi.config.setting import Setting

__all__ = [
    "ApplicationKind",
    "BooleanKind",
    "ChoiceKind",
    "DurationKind",
    "IntegerKind",
    "LogConfigKind",
    "LoopKind",
    "PathKind",
    "ProcessesKind",
    "SizeKind",
    "SwitchKind",
    "TextKind",
    "ValueKind",
]

LARGEST_INTEGER: Final = 2**31 - 1  # what the kernel takes for a descriptor or a backlog
LARGEST_SIZE: Final = 2**50
LONGEST_DURATION: Final = 7 * 24 * 3600  # seconds; epoll_wait takes 2**31 ms at most

_find_control: Final = re.compile(r"[\x00-\x1f\x7f]").search
_match_integer: Final = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII).fullmatch
_match_reference: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*").fullmatch

_WORDS: Final = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip


class ValueKind(ABC):
    """One kind of value. ``word`` names it in the reference page."""

    word = "text"
    empty_is_value = False
    """Whether an empty environment variable is a value; else it counts as not set."""

    def allowed(self, setting: Setting) -> str:
        """What may be given, as the end of the sentence "use …"."""
        return "one line of text"

    def from_text(self, setting: Setting, text: str) -> Any:
        """The value of a flag's or variable's text, or one member of it; not yet checked."""
        return text

    def from_toml(self, setting: Setting, value: object) -> Any:
        """The value of what stands in a file; not yet checked."""
        return value

    def from_python(self, setting: Setting, value: Any) -> Any:
        """The value of what a program gives; not yet checked."""
        return value

    @abstractmethod
    def checked(self, setting: Setting, value: Any) -> Any:
        """The final value of a value given. Raises ``NotAllowed``."""

    def to_text(self, setting: Setting, value: Any) -> str:
        """The value as a flag or variable gives it."""
        return str(value)


class TextKind(ValueKind):
    """One line of text."""

    empty_is_value = True

    def checked(self, setting: Setting, value: Any) -> str:
        if not isinstance(value, str) or _find_control(value):
            raise NotAllowed(value, self.allowed(setting))
        return value


class ApplicationKind(ValueKind):
    """The application or its name; what the name looks like is a check of the setting."""

    def allowed(self, setting: Setting) -> str:
        return "MODULE:ATTRIBUTE, such as main:app"

    def checked(self, setting: Setting, value: Any) -> Any:
        return value


class PathKind(ValueKind):
    """A file or a directory, as text or ``os.PathLike``."""

    word = "path"

    def allowed(self, setting: Setting) -> str:
        return "a path"

    def from_python(self, setting: Setting, value: Any) -> Any:
        """As it is; a program has an empty one from a variable that is not set."""
        return None if value == "" and setting.default is None else value

    def checked(self, setting: Setting, value: Any) -> str:
        path = os.fspath(value) if isinstance(value, os.PathLike) else value
        empty = path == "" != setting.default
        if not isinstance(path, str) or "\0" in path or empty:
            raise NotAllowed(value, self.allowed(setting))
        return path


class LogConfigKind(PathKind):
    """A file with a configuration for Python's logging, or such a configuration."""

    def from_python(self, setting: Setting, value: Any) -> Any:
        if not isinstance(value, io.TextIOBase):
            return value
        parser = RawConfigParser()
        try:
            parser.read_file(value)
        except (ConfigError, ValueError, OSError) as error:
            raise NotAllowed(value, "a file in the format of logging.config") from error
        return parser

    def checked(self, setting: Setting, value: Any) -> Any:
        if isinstance(value, Mapping) and not isinstance(value, RawConfigParser):
            return dict(value)
        return value if isinstance(value, RawConfigParser) else super().checked(setting, value)


class ChoiceKind(ValueKind):
    """One of a few words."""

    word = "choice"

    def allowed(self, setting: Setting) -> str:
        return f"{', '.join(setting.choices[:-1])} or {setting.choices[-1]}"

    def from_text(self, setting: Setting, text: str) -> str:
        return text.strip().lower()

    def from_python(self, setting: Setting, value: Any) -> Any:
        return self.from_text(setting, value) if isinstance(value, str) else value

    def checked(self, setting: Setting, value: Any) -> str:
        if not isinstance(value, str) or value not in setting.choices:
            raise NotAllowed(value, self.allowed(setting))
        return value


class LoopKind(ChoiceKind):
    """An event loop by its name, or what makes one as ``MODULE:FACTORY``."""

    def allowed(self, setting: Setting) -> str:
        return f"{', '.join(setting.choices)} or MODULE:FACTORY"

    def from_text(self, setting: Setting, text: str) -> str:
        return text.strip() if ":" in text else super().from_text(setting, text)

    def checked(self, setting: Setting, value: Any) -> str:
        if isinstance(value, str) and _match_reference(value):
            return value
        return super().checked(setting, value)


class BooleanKind(ValueKind):
    """On or off."""

    word = "boolean"

    def allowed(self, setting: Setting) -> str:
        return "true or false"

    def from_text(self, setting: Setting, text: str) -> bool:
        word = _WORDS.get(text.strip().lower())
        if word is None:
            raise NotAllowed(text, "1, true, yes or on, 0, false, no or off")
        return word

    def from_python(self, setting: Setting, value: Any) -> Any:
        if isinstance(value, str):
            return self.from_text(setting, value)
        return bool(value) if isinstance(value, int) and value in (0, 1) else value

    def checked(self, setting: Setting, value: Any) -> bool:
        if not isinstance(value, bool):
            raise NotAllowed(value, self.allowed(setting))
        return value

    def to_text(self, setting: Setting, value: Any) -> str:
        return "true" if value else "false"


class SwitchKind(ChoiceKind):
    """Off, on, or a further word; true and false mean the first two."""

    def from_text(self, setting: Setting, text: str) -> str:
        word = super().from_text(setting, text)
        known = _WORDS.get(word)
        return word if known is None else ("on" if known else "off")

    def from_toml(self, setting: Setting, value: object) -> Any:
        return self._word(value)

    def from_python(self, setting: Setting, value: Any) -> Any:
        return self._word(super().from_python(setting, value))

    @staticmethod
    def _word(value: Any) -> Any:
        known = isinstance(value, int) and value in (0, 1)
        return ("on" if value else "off") if known else value


class IntegerKind(ValueKind):
    """A whole number in a range."""

    word = "integer"
    largest = LARGEST_INTEGER

    def allowed(self, setting: Setting) -> str:
        low, high = _range(setting, self.largest)
        return f"an integer from {low} to {high}"

    def from_text(self, setting: Setting, text: str) -> int:
        if _match_integer(text) is None:
            raise NotAllowed(text, self.allowed(setting))
        return int(text)

    def from_python(self, setting: Setting, value: Any) -> Any:
        return self.from_text(setting, value) if isinstance(value, str) else value

    def checked(self, setting: Setting, value: Any) -> int:
        low, high = _range(setting, self.largest)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise NotAllowed(value, self.allowed(setting))
        return value


class ProcessesKind(IntegerKind):
    """A number of processes; ``auto``: one for each processor that may be used."""

    word = "integer or auto"

    def allowed(self, setting: Setting) -> str:
        return f"{super().allowed(setting)}, or auto"

    def from_text(self, setting: Setting, text: str) -> int:
        if text.strip().lower() == "auto":
            return usable_processors()
        return super().from_text(setting, text)

    def from_toml(self, setting: Setting, value: object) -> Any:
        return usable_processors() if value == "auto" else value


class SizeKind(IntegerKind):
    """Bytes."""

    word = "size"
    largest = LARGEST_SIZE

    def allowed(self, setting: Setting) -> str:
        low, high = _range(setting, self.largest)
        bounds = f"from {format_size(int(low))} to {format_size(int(high))}"
        return f"bytes or a size such as 16KiB or 1MB, {bounds}"

    def from_text(self, setting: Setting, text: str) -> int:
        try:
            return parse_size(text)
        except ValueError:
            raise NotAllowed(text, self.allowed(setting)) from None

    def from_toml(self, setting: Setting, value: object) -> Any:
        return self.from_text(setting, value) if isinstance(value, str) else value

    def to_text(self, setting: Setting, value: Any) -> str:
        return format_size(value)


class DurationKind(ValueKind):
    """Seconds."""

    word = "duration"

    def allowed(self, setting: Setting) -> str:
        low, high = _range(setting, LONGEST_DURATION)
        bounds = f"from {format_duration(low)} to {format_duration(high)}"
        return f"seconds or a duration such as 500ms, 30s, 5m or 1h, {bounds}"

    def from_text(self, setting: Setting, text: str) -> float:
        try:
            return parse_duration(text)
        except ValueError:
            raise NotAllowed(text, self.allowed(setting)) from None

    def from_toml(self, setting: Setting, value: object) -> Any:
        return self.from_text(setting, value) if isinstance(value, str) else value

    def from_python(self, setting: Setting, value: Any) -> Any:
        """As from a file; programs write a very long time for one without end."""
        value = self.from_toml(setting, value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        without_end = number and LONGEST_DURATION < value < math.inf
        return float(LONGEST_DURATION) if without_end else value

    def checked(self, setting: Setting, value: Any) -> float:
        low, high = _range(setting, LONGEST_DURATION)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:  # not a number is not in the range either
            raise NotAllowed(value, self.allowed(setting))
        return float(value)

    def to_text(self, setting: Setting, value: Any) -> str:
        return format_duration(value)


def _range(setting: Setting, largest: float) -> tuple[float, float]:
    low = setting.minimum if setting.minimum is not None else 0
    return low, setting.maximum if setting.maximum is not None else largest
