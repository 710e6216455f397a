"""Connections that wait for a request go to another worker, and their clients do not notice.

Only plain HTTP/1.1 moves, with nothing half read and nothing unsent: what the client sends in
that moment is still in the kernel, for whoever has the descriptor. A worker that is replaced, or
not wanted any more, gives away all it can; a fuller one gives some to an emptier one, slowly.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.balance.idle import Idle
from katana_asgi.balance.links import MESSAGE_LIMIT
from katana_asgi.balance.placement import surplus
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.net.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext

__all__ = ["IDLE", "Mover"]

IDLE: Final = b"i"
"""The first byte of a message that carries an idle connection."""

AGAIN: Final = 0.02
"""Seconds until a worker that leaves tries again what could not be moved at once."""

SETTLED: Final = 10.0
"""Seconds for which a connection that has moved stays, so that none goes to and fro."""


class Mover:
    """Moves the connections of one worker, and takes those of others.

    ``make`` makes a connection with a peer. ``send`` sends a message and a descriptor to a worker
    and says whether that has worked.
    """

    def __init__(
        self,
        context: WorkerContext,
        make: Callable[[Peer], Http1Connection],
        send: Callable[[int, bytes, int], bool],
    ) -> None:
        self._context = context
        self._make = make
        self._send = send
        self._came: dict[Http1Connection, float] = {}  # from others, and until when they stay
        self.moved = 0  # connections, since start

    # -- to another worker ---------------------------------------------------------------------

    def move(self, connection: Http1Connection, target: int) -> bool:
        """Move a connection; whether it could be moved."""
        idle = connection.idle()
        if idle is None:
            return False
        message = IDLE + idle.pack()
        if len(message) > MESSAGE_LIMIT or not self._send(target, message, connection.descriptor):
            return False
        connection.abort()  # here only: the other process has it
        self.moved += 1
        return True

    def rebalance(self, target: int, connections: int, others: list[int]) -> None:
        """Move some of ``connections`` to ``target``, the emptiest of ``others``, if need be."""
        now = self._context.clock.now
        self._came = {each: until for each, until in self._came.items() if until > now}
        count = surplus(connections, others)
        if not count:
            return
        for each in self._plain():
            if each not in self._came and self.move(each, target):
                count -= 1
                if not count:
                    return

    def _plain(self) -> list[Http1Connection]:
        """Connections that can move once they are idle."""
        watched = self._context.clock.watched
        return [each for each in watched if isinstance(each, Http1Connection) and each.movable]

    def sweep(self, target: Callable[[], int]) -> bool:
        """Move what is idle, each to its own ``target``; whether there is more to come."""
        more = False
        for connection in self._plain():
            where = target()
            if where < 0:
                return False
            if not self.move(connection, where):
                more = True
        return more

    async def leave(self, target: Callable[[], int], force: asyncio.Event, budget: float) -> None:
        """Move what is idle, and within ``budget`` seconds what becomes so.

        Meanwhile no response says close, so that clients which are served now are moved, too.
        """
        context, loop = self._context, self._context.loop
        end = loop.time() + budget
        ended = asyncio.Event()  # a call
        context.watch(ended.set)
        try:
            while self.sweep(target) and not force.is_set() and loop.time() < end:
                ended.clear()
                try:
                    async with asyncio.timeout(AGAIN):
                        await ended.wait()
                except TimeoutError:
                    pass
        finally:
            context.watch(None)

    # -- from another worker -------------------------------------------------------------------

    def protocol(self, data: bytes) -> Callable[[], asyncio.Protocol]:
        """What to go on with, of a message that carries a connection."""
        idle = Idle.unpack(data[len(IDLE) :])
        peer = Peer(idle.server, "http", client=idle.client, proxy=idle.proxy)
        return partial(_Resumed, self, self._make(peer), idle)

    def came(self, connection: Http1Connection) -> None:
        """A connection has come from another worker."""
        self._came[connection] = self._context.clock.now + SETTLED


class _Resumed(asyncio.Protocol):
    """A connection that goes on where another worker has left it, once it has a transport."""

    def __init__(self, mover: Mover, connection: Http1Connection, idle: Idle) -> None:
        self._mover = mover
        self._connection = connection
        self._idle = idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Go on."""
        stream: Any = transport
        stream.set_protocol(self._connection)
        self._connection.connection_made(stream)
        self._connection.resume(self._idle)
        self._mover.came(self._connection)
