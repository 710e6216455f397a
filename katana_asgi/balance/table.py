"""What workers know of each other: a row of numbers for each slot, in memory that they share.

The supervisor makes it before the first fork, and hands it on to the one that follows it. A row
is written by the worker that owns it alone, in aligned stores of 8 bytes, so it needs no lock; a
reader may see numbers of different moments.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

__all__ = ["LATE", "LoadTable", "Row"]

ROWS: Final = 1024
"""As many as there may be workers. Pages that are not written to cost nothing."""

CELLS: Final = 16
"""Cells of 8 bytes in a row: two cache lines."""

SIZE: Final = 8 * CELLS

_OWNER, _SERVING, _CONNECTIONS, _CALLS, _LAG, _BEAT, _TAKEN = range(7)

LATE: Final = 500
"""Milliseconds after its last beat from which on a worker counts as blocked."""


class LoadTable:
    """The rows of all slots, in the memory behind ``descriptor`` or in a new one.

    Raises ``OSError``, and ``AttributeError`` where the system has no such memory.
    """

    __slots__ = ("_cells", "descriptor")

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("katana-asgi-loads")
            os.ftruncate(descriptor, ROWS * SIZE)
        self.descriptor = descriptor
        self._cells = memoryview(mmap.mmap(descriptor, ROWS * SIZE)).cast("q")

    def close(self) -> None:
        """Close the descriptor; the memory lives as long as a row of it."""
        os.close(self.descriptor)

    def row(self, number: int) -> Row:
        """The row of slot ``number``, from 1. Raises ``IndexError`` where there is none."""
        if not 1 <= number <= ROWS:
            raise IndexError(number)
        return Row(self._cells[(number - 1) * CELLS : number * CELLS])


class Row:
    """One slot. Times are milliseconds of the monotonic clock, which all processes share."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells

    def enter(self, owner: int, now: int) -> None:
        """The process ``owner`` serves from now on, and writes the row."""
        cells = self._cells
        cells[_CONNECTIONS] = cells[_CALLS] = cells[_LAG] = 0
        cells[_OWNER] = owner
        cells[_BEAT] = now
        cells[_SERVING] = 1

    def leave(self) -> None:
        """Its owner takes nothing more."""
        self._cells[_SERVING] = 0

    def publish(self, connections: int, calls: int) -> None:
        """Say how many connections are open and how many calls run."""
        cells = self._cells
        cells[_CONNECTIONS] = connections
        cells[_CALLS] = calls

    def beat(self, now: int, lag: int) -> None:
        """Say that the loop turns; it was ``lag`` microseconds late."""
        cells = self._cells
        cells[_LAG] = lag
        cells[_BEAT] = now

    def took(self) -> None:
        """Count a connection that another worker has handed over."""
        self._cells[_TAKEN] += 1

    @property
    def owner(self) -> int:
        """The process id of the worker that writes it; 0 before the first."""
        return self._cells[_OWNER]

    @property
    def connections(self) -> int:
        """Open connections."""
        return self._cells[_CONNECTIONS]

    @property
    def taken(self) -> int:
        """Connections that were handed over to the slot since the service started."""
        return self._cells[_TAKEN]

    @property
    def lag(self) -> int:
        """Microseconds by which the loop was late at the last beat."""
        return self._cells[_LAG]

    @property
    def load(self) -> int:
        """Open connections and running calls."""
        cells = self._cells
        return cells[_CONNECTIONS] + cells[_CALLS]

    def takes(self, now: int) -> bool:
        """Whether its worker serves and beats."""
        cells = self._cells
        return bool(cells[_SERVING]) and now - cells[_BEAT] <= LATE

    def blocked(self, now: int) -> bool:
        """Whether its worker should serve, and does not beat: it is blocked, or has died."""
        cells = self._cells
        return bool(cells[_SERVING]) and now - cells[_BEAT] > LATE
