"""The kind of setting that is a part of a whole: from 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi.config.kinds import ValueKind
from katana_asgi.config.refusal import NotAllowed

if TYPE_CHECKING:
    from katana_asgi.config.setting import Setting

__all__ = ["FractionKind"]


class FractionKind(ValueKind):
    """A number from 0 to 1, or a percentage."""

    word = "fraction"

    def allowed(self, setting: Setting) -> str:
        return "a number from 0 to 1, or a percentage such as 5%"

    def from_text(self, setting: Setting, text: str) -> float:
        number, percent, rest = text.strip().partition("%")
        try:
            value = float(number)
        except ValueError:
            raise NotAllowed(text, self.allowed(setting)) from None
        if rest:
            raise NotAllowed(text, self.allowed(setting))
        return value / 100 if percent else value

    def from_toml(self, setting: Setting, value: object) -> Any:
        return self.from_text(setting, value) if isinstance(value, str) else value

    def checked(self, setting: Setting, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise NotAllowed(value, self.allowed(setting))
        return float(value)

    def to_text(self, setting: Setting, value: Any) -> str:
        return f"{value:g}"

    def from_python(self, setting: Setting, value: Any) -> Any:
        return self.from_toml(setting, value)
