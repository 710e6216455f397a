"""What is asked of fields and their values again and again; the twin of values.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from katana_asgi.codec.framing import Field

__all__ = ["field_value", "printable"]

_PRINTABLE: Final = bytes({*range(0x20, 0x7F)} - {0x22, 0x5C})


def field_value(fields: list[Field], name: bytes) -> bytes | None:
    """The value of the field ``name`` (lower-case); its lines are one list (RFC 9110 §5.3).

    ``None`` where there is no such field.
    """
    values = [value for each, value in fields if each == name]
    return b", ".join(values) if values else None


def printable(data: bytes) -> str | None:
    """``data`` as text where all of it is printable ASCII without quotes and backslashes."""
    return None if data.translate(None, _PRINTABLE) else data.decode("ascii")
