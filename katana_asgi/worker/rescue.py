"""What waits in the queue of a worker that is blocked, or has died, is accepted by another.

Each worker has the listening sockets of all slots. Of those that serve, the next one after the
slot that is late accepts for it until it beats again, so that one is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from katana_asgi.balance.table import Row

__all__ = ["Rescue"]

AT_ONCE: Final = 16
"""Connections accepted in one turn of the loop."""


class Rescue:
    """``neighbours`` are the sockets of other slots, each with the number of its place.

    ``number`` is the slot of this worker, ``rows`` what is known of all of them, from slot 1 on.
    ``take`` is given what was accepted, with the number of its place.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        rows: Sequence[Row],
        neighbours: Mapping[int, Sequence[tuple[int, socket.socket]]],
        take: Callable[[int, socket.socket], None],
    ) -> None:
        self._loop = loop
        self._number = number
        self._rows = rows
        self._neighbours = neighbours
        self._take = take
        self._helped: set[int] = set()  # slots that are accepted for

    def look(self, now: int) -> None:
        """Begin to accept for those that are late at ``now``; leave it to those that are back."""
        for slot in self._neighbours:
            late = self._rows[slot - 1].blocked(now)
            if late and slot not in self._helped and self._is_next(slot, now):
                self._begin(slot)
            elif not late and slot in self._helped:
                self._end(slot)

    def _is_next(self, slot: int, now: int) -> bool:
        """Whether this worker is the first after ``slot`` that serves."""
        count = len(self._rows)
        for step in range(count - 1):
            other = (slot + step) % count + 1
            if other == self._number:
                return True
            if self._rows[other - 1].takes(now):
                return False
        return False

    def _begin(self, slot: int) -> None:
        self._helped.add(slot)
        for place, sock in self._neighbours[slot]:
            self._loop.add_reader(sock.fileno(), self._accept, place, sock)

    def _end(self, slot: int) -> None:
        self._helped.discard(slot)
        for _, sock in self._neighbours[slot]:
            self._loop.remove_reader(sock.fileno())

    def _accept(self, place: int, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, _ = listener.accept()
            except OSError:  # the worker is back and was faster, or there is nothing more
                return
            sock.setblocking(False)
            self._take(place, sock)

    def close(self) -> None:
        """Accept no more, and have no part in these sockets."""
        for slot in list(self._helped):
            self._end(slot)
        for sockets in self._neighbours.values():
            for _, sock in sockets:
                sock.close()
