"""The fields that every response gets unless the application or a route sends its own.

Date, Server, and those of ``--header``. Date changes once a second; the ``listeners``,
which render the fields for a protocol version, are called then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.codec import DATE, SERVER
from katana_asgi.http.dates import http_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.http.message import Field

__all__ = ["DefaultFields"]


class DefaultFields:
    """One per worker. ``date`` is the value of Date, ``None`` where none is sent."""

    __slots__ = ("_further", "_sends_date", "_server", "date", "listeners")

    def __init__(
        self,
        *,
        date: bool = True,
        server: bytes | None = b"katana-asgi",
        further: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self._further = tuple((name.lower(), value) for name, value in further)
        names = {name for name, _ in self._further}
        self._sends_date = date and b"date" not in names
        self._server = None if b"server" in names else server
        self.date: bytes | None = None
        self.listeners: list[Callable[[], None]] = []

    def refresh(self, second: int) -> None:
        """Another second has begun, given in seconds since the epoch."""
        self.date = http_date(second) if self._sends_date else None
        for call in self.listeners:
            call()

    def pairs(self, own: int = 0, without: frozenset[bytes] = frozenset()) -> list[Field]:
        """The fields but for those in ``own`` (see ``ResponseFields``) and those named."""
        pairs: list[Field] = []
        if self.date is not None and not own & DATE:
            pairs.append((b"date", self.date))
        if self._server is not None and not own & SERVER:
            pairs.append((b"server", self._server))
        pairs += self._further
        return [pair for pair in pairs if pair[0] not in without] if without else pairs
