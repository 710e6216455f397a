"""Whether a peer still takes what is sent to it; against readers that only pretend to read.

Bytes count as taken when they leave our buffer and the kernel's: a window that is opened for a
byte at a time, to hold a worker's memory for hours, moves neither.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

if TYPE_CHECKING:
    import asyncio

__all__ = ["WriteStall", "unsent"]

ENOUGH: Final = 16 * 1024
"""Bytes a peer has to take within a write timeout; with the default of 60 s about 270 B/s."""


class WriteStall:
    """The time since a peer has taken ``ENOUGH``, added up from one look to the next."""

    __slots__ = ("_seconds", "_taken", "_unsent")

    def __init__(self, unsent: int) -> None:
        self._unsent = unsent
        self._taken = 0
        self._seconds = 0.0

    def look(self, unsent: int, seconds: float) -> float:
        """Note what is unsent now, ``seconds`` after the last look.

        Returns for how many seconds the peer has taken less than enough.
        """
        self._taken += max(0, self._unsent - unsent)
        self._unsent = unsent
        self._seconds += seconds
        if self._taken >= ENOUGH:
            self._taken = 0
            self._seconds = 0.0
        return self._seconds


def unsent(transport: asyncio.WriteTransport) -> int:
    """Bytes the peer has not acknowledged, in our buffer and where it tells in the kernel's."""
    waiting = transport.get_write_buffer_size()
    sock: Any = transport.get_extra_info("socket")
    if sys.platform == "win32" or sock is None:
        return waiting
    try:
        queued = ioctl(sock.fileno(), TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # no socket any more, or a system that does not tell
        return waiting
    return waiting + int.from_bytes(queued, sys.byteorder)
