"""The default fields (Date, Server, ``--header``) as HTTP/1.1 writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.message import Field

__all__ = ["CLOSE", "ENDS", "KEEP_ALIVE", "PERSISTENT", "DefaultLines", "field_lines"]

PERSISTENT: Final = 0  # HTTP/1.1: a connection persists unless a response says close
KEEP_ALIVE: Final = 4  # HTTP/1.0: it persists only where the response says so, too
CLOSE: Final = 8

ENDS: Final = (b"\r\n", b"connection: keep-alive\r\n\r\n", b"connection: close\r\n\r\n")
"""What ends a head, by what becomes of the connection."""


def field_lines(pairs: Iterable[Field]) -> bytes:
    """Field lines, each with its CRLF."""
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])


class DefaultLines:
    """One per worker.

    ``variants`` are the lines by what the application has sent itself (``ResponseFields.own``)
    and by what ends the head (``ENDS``): the line of Connection, and the empty line. It is
    another object each time the fields change.
    """

    __slots__ = ("_fields", "_without", "variants")

    def __init__(self, fields: DefaultFields, without: frozenset[bytes] = frozenset()) -> None:
        self._fields = fields
        self._without = without
        self.variants = self._render()
        fields.listeners.append(self._refresh)

    def _refresh(self) -> None:
        self.variants = self._render()

    def _render(self) -> tuple[bytes, ...]:
        lines = [field_lines(self._fields.pairs(own, self._without)) for own in range(4)]
        return tuple(line + end for end in ENDS for line in lines)

    def without(self, names: frozenset[bytes], end: int) -> bytes:
        """The lines but for the fields named, with what ends the head."""
        return field_lines(self._fields.pairs(0, self._without | names)) + ENDS[end >> 2]
