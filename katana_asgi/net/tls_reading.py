"""Reading from TLS without a fresh buffer of 256 KiB for each read.

That is what the transports of TLS allocate for a plain protocol. On uvloop it comes from the
kernel and goes back to it, for a request of a hundred bytes: 35 µs for a static response. With
one buffer for all connections of a loop, and a copy of what was read, it is 10.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

__all__ = ["BufferedReads"]


class _Buffer(threading.local):
    """One for all connections of a thread, which is those of a loop.

    Each read fills it and copies from it before the next begins. A loop in another thread may
    read in between: a program can embed two servers.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(64 * 1024))


_buffer: Final = _Buffer()


class BufferedReads(asyncio.BufferedProtocol):
    """Passes to ``protocol`` what a transport reads; everything else reaches it directly."""

    __slots__ = (
        "_lost",
        "_received",
        "_view",
        "eof_received",
        "pause_writing",
        "resume_writing",
    )

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._view = _buffer.view
        self._received: Any = protocol.data_received
        self._lost = protocol.connection_lost
        self.eof_received: Any = protocol.eof_received
        self.pause_writing: Any = protocol.pause_writing
        self.resume_writing: Any = protocol.resume_writing

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        self._received(bytes(self._view[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        """The last event; let go of the protocol, because the transports keep this object."""
        self._received = self.eof_received = self.pause_writing = self.resume_writing = _nothing
        self._lost(exc)
        del self._lost


def _nothing(*_: object) -> None:
    """The connection has been lost: drop what still comes."""
