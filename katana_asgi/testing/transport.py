"""A transport without a kernel, whose peer is the test.

What a network does sooner or later happens here when it is called: a peer that takes its bytes
slowly or not at all, sends them in pieces, ends its side, vanishes, or is gone at the n-th write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from katana_asgi.testing.fake_time import turns

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MemoryTransport"]

ADDRESSES: Final[dict[str, Any]] = {"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)}
"""Of the two ends, from the block that RFC 5737 keeps for documents."""


class MemoryTransport(asyncio.Transport):
    """The server's end of a connection; ``take``, ``hold``, ``feed``, ``end`` and ``fail`` are
    what its peer does.

    ``takes``: whether the peer takes at once what is sent. ``fails_at`` is the number of the write
    that fails, from 1; 0 for none. ``half_closes``: both sides end on their own, as over TCP; not
    so over TLS. Above ``high_water`` bytes that the peer has not taken, writing is paused. ``loop``
    is by default the running one, and ``extra`` what ``get_extra_info`` knows.
    """

    protocol: asyncio.Protocol
    """What the server makes of the connection, once there is one."""

    writes = 0
    """How many writes there were."""

    dropped = 0
    """Bytes written behind the end, which are lost."""

    reading = True
    """Whether the server reads."""

    ended = False
    """Whether the server has ended its side, and may still read."""

    closing = False
    """Whether the connection ends, or has ended."""

    _waiting = 0
    _paused = False
    _lost = False

    def __init__(
        self,
        *,
        takes: bool = True,
        fails_at: int = 0,
        half_closes: bool = True,
        high_water: int = 64 * 1024,
        loop: asyncio.AbstractEventLoop | None = None,
        extra: dict[str, Any] = ADDRESSES,
    ) -> None:
        super().__init__(extra)
        self.sent = bytearray()
        """All that was written."""
        self._loop = loop or asyncio.get_running_loop()
        self._takes = takes
        self._fails_at = fails_at
        self._half_closes = half_closes
        self._high_water = high_water
        self._arrived: deque[bytes | None] = deque()  # not read yet; None: the end

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        """Begin: ``protocol`` is connected."""
        self.set_protocol(protocol)
        protocol.connection_made(self)

    # -- the peer

    def feed(self, data: bytes, size: int = 0) -> None:
        """Send bytes, which come as one read, or in reads of at most ``size``.

        While the server does not read they wait, as in a kernel.
        """
        step = size or len(data) or 1
        self._arrived += [data[at : at + step] for at in range(0, len(data), step)]
        self._deliver()

    def end(self) -> None:
        """End the peer's side; what it has sent is read before."""
        self._arrived.append(None)
        self._deliver()

    def hold(self) -> None:
        """Take nothing from now on."""
        self._takes = False

    def take(self, size: int | None = None) -> None:
        """Take up to ``size`` bytes of what waits; without one, all, and what follows at once."""
        if size is None:
            self._takes = True
            size = self._waiting
        self._waiting = max(0, self._waiting - size)
        if self.closing:
            if not self._waiting:
                self._lose(None)
        elif self._paused and self._waiting <= self._high_water // 4:
            self._paused = False
            self.protocol.resume_writing()

    def fail(self) -> None:
        """Vanish: the connection is reset."""
        self._end(ConnectionResetError())

    async def settled(self, count: int = 6) -> bytes:
        """Let the loop turn until for ``count`` turns nothing more is sent; returns all of it.

        An application that waits for a thread or a timer takes longer than that: ``until``.
        """
        before = -1
        while len(self.sent) != before:
            before = len(self.sent)
            await turns(count)
        return bytes(self.sent)

    async def until(self, part: bytes) -> bytes:
        """Let the loop turn until ``part`` has been sent, or the end comes; returns all of it."""
        while part not in self.sent and not self.closing:
            await turns()
        return bytes(self.sent)

    def _deliver(self) -> None:
        while self._arrived and self.reading:
            data = self._arrived.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.close()

    # -- asyncio.Transport, for the server

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Go on with another protocol."""
        self.protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """What the server makes of the connection."""
        return self.protocol

    def write(self, data: Any) -> None:
        """Send bytes; ``RuntimeError`` behind ``write_eof``."""
        if self.ended:
            raise RuntimeError("written behind the end")
        if self.closing:
            self.dropped += len(data)
            return
        self.writes += 1
        if self.writes == self._fails_at:
            self.fail()
            return
        self.sent += data
        if self._takes:
            return
        self._waiting += len(data)
        if self._waiting > self._high_water and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send several buffers in one write."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """End the server's side; ``NotImplementedError`` where sides do not end on their own."""
        if not self._half_closes:
            raise NotImplementedError
        self.ended = True

    def can_write_eof(self) -> bool:
        """Whether each side ends on its own."""
        return self._half_closes

    def get_write_buffer_size(self) -> int:
        """Bytes that the peer has not taken."""
        return self._waiting

    def is_closing(self) -> bool:
        """Whether the connection ends, or has ended."""
        return self.closing

    def close(self) -> None:
        """End the connection once the peer has taken what waits."""
        self.closing = True
        self.reading = False
        if not self._waiting:
            self._lose(None)

    def abort(self) -> None:
        """End the connection at once."""
        self._end(None)

    def pause_reading(self) -> None:
        """Read no more; ``RuntimeError`` where that is so already."""
        if not self.reading:
            raise RuntimeError("it does not read")
        self.reading = False

    def resume_reading(self) -> None:
        """Read again; ``RuntimeError`` behind the end."""
        if self.closing:
            raise RuntimeError("it has ended")
        self.reading = True
        if self._arrived:
            self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        """Whether the server reads."""
        return self.reading

    def _end(self, error: Exception | None) -> None:
        self.closing = True
        self.reading = False
        self._waiting = 0
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self.protocol.connection_lost, error)
