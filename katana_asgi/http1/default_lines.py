"""The default fields (Date, Server, ``--header``) as HTTP/1.1 writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.message import Field

__all__ = ["DefaultLines", "field_lines"]


def field_lines(pairs: Iterable[Field]) -> bytes:
    """Field lines, each with its CRLF."""
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])


class DefaultLines:
    """One per worker.

    ``variants`` are the lines by what the application has sent itself (``ResponseFields.own``);
    it is another object each time they change.
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
        return tuple(field_lines(self._fields.pairs(own, self._without)) for own in range(4))

    def without(self, names: frozenset[bytes]) -> bytes:
        """The lines but for the fields named."""
        return field_lines(self._fields.pairs(0, self._without | names))
