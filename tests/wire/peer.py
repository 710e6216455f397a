"""The client of the wire corpus: it sends exactly these bytes in exactly these pieces.

A plain protocol rather than a stream, since what arrived before a reset must not be lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, cast

from answers import Answer, read_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from corpus import Step

__all__ = ["Peer"]


class Peer(asyncio.Protocol):
    """One connection: what came back, whether the server ended or reset it."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.lost = False
        self.reset = False
        self._changed = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, host: str, port: int) -> Peer:
        """Open a connection to the server under test."""
        _, peer = await asyncio.get_running_loop().create_connection(cls, host, port)
        return peer

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, once connected."""
        assert self._transport is not None
        return self._transport

    @property
    def port(self) -> int:
        """Our own port, by which the application knows this connection."""
        return int(self.transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.reset = exc is not None
        self.lost = self.ended = True
        self._changed.set()

    def answers(self) -> tuple[list[Answer], bytes]:
        """The whole answers so far, and what is left over."""
        return read_answers(self.data, self.ended)

    async def send(self, steps: tuple[Step, ...]) -> None:
        """Send the pieces in order, each as a read of its own; wait where a step says so."""
        waited: Counter[int] = Counter()
        for step in steps:
            if isinstance(step, bytes):
                self.write(step)
                # Two turns of the shared loop let the server take this piece by itself.
                for _ in range(3):
                    await asyncio.sleep(0)
            else:
                waited[step] += 1
                await self.until(partial(self._has, step, waited[step]))

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is lost already."""
        if not self.lost:
            self.transport.write(data)

    def end(self) -> None:
        """Shut our sending side, unless the connection is lost already."""
        if not self.lost:
            self.transport.write_eof()

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until ``done()``, looking again whenever something arrives; an end ends it."""
        while not (done() or self.ended):
            self._changed.clear()
            await self._changed.wait()

    def _has(self, status: int, count: int) -> bool:
        return sum(answer.status == status for answer in self.answers()[0]) >= count
