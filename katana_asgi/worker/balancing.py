"""A worker's part in even load: what it accepts may go to a worker that has clearly less to do.

A connection is passed on before a byte of it is read, so before TLS and a PROXY header, and once:
what has come from another worker stays. It is kept where the other's channel is full, or the
other does not beat, starts or drains. With one worker nothing of this is there.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.balance.links import pass_on, receive
from katana_asgi.balance.placement import LEAST_GAP, UNAVAILABLE, choose, least_surplus
from katana_asgi.net.listener import address_of
from katana_asgi.worker.moving import IDLE, Mover
from katana_asgi.worker.rescue import Rescue

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.balance.links import Share
    from katana_asgi.http1.connection import Http1Connection
    from katana_asgi.net.peer import Peer
    from katana_asgi.net.proxy_header import ConnectionFactory

__all__ = ["BEAT", "Balancer"]

BEAT: Final = 0.1
"""Seconds between two looks at the others; each costs some microseconds."""

BEATS_BETWEEN: Final = 10
"""Beats between two steps of moving connections for the sake of balance."""

PASSING: Final = 16
"""Connections that come and go between two beats, 160 a second, and are placed all the same. With
more the load rises and falls faster than workers tell each other, and is even by their number."""

LOOKED_AT: Final = 8
"""Workers that are considered for one connection; with more, others for each."""

LEAVING: Final = 2**31
"""The load of a worker that drains, and of none: what it still accepts goes to any other."""

AT_ONCE: Final = 16
"""Connections taken from others in one turn of the loop."""

_NEW: Final = Struct("<cH")
"""A connection that has just been accepted, and the number of the place that it came to."""

NEW: Final = b"n"


class Balancer:
    """One per worker that has others beside it."""

    def __init__(self, share: Share) -> None:
        self._number = share.number
        self._neighbours = share.neighbours
        self._rescue: Rescue | None = None
        self._row = share.rows[share.number - 1]
        self._rows = share.rows
        self._outboxes = share.outboxes
        self._inbox = share.inbox
        self._peers = [index for index in range(len(share.rows)) if index != share.number - 1]
        self._known = self._peers.copy()  # without those that nobody has asked for yet
        self._promised = [0] * len(share.rows)  # meant for each, and not taken yet
        self._taken = [row.taken for row in share.rows]  # as they were at the last look
        self._pid = os.getpid()
        self._takers: dict[int, Callable[[socket.socket], None]] = {}
        self._coming: set[asyncio.Task[None]] = set()
        self._arrived = self._before = 0  # connections since the last beat, and at that moment
        self._enough = LEAST_GAP  # the load from which on it is worth to look at the others
        self._beats: asyncio.TimerHandle | None = None
        self._leaving = False
        self._gives_away = False
        self._due = 0.0
        self._until_even = BEATS_BETWEEN  # beats until the next look at what should move
        # Connections since start: passed on when they were accepted, and not taken by the other.
        self.handed = self.kept = 0

    def attach(self, context: WorkerContext, make: Callable[[Peer], Http1Connection]) -> None:
        """Work for the connections of this worker; ``make`` makes one with a peer."""
        self._context = context
        self._watched = context.clock.watched
        self._loop = context.loop
        self._mover = Mover(context, make, self.send)

    # -- connections that are accepted here ----------------------------------------------------

    def factory(self, number: int, factory: ConnectionFactory) -> Callable[[], asyncio.Protocol]:
        """What to accept plain connections with that come to place ``number``."""
        self._takers[number] = partial(self._take_plain, factory)
        return partial(self._accepted, number, factory)

    def diverter(self, number: int) -> Callable[[socket.socket], bool]:
        """What tells of a connection to place ``number`` whether it has been passed on."""
        return partial(self._divert, number)

    def take_with(self, number: int, take: Callable[[socket.socket], None]) -> None:
        """Have ``take`` called with connections to place ``number`` that others pass on."""
        self._takers[number] = take

    def _accepted(self, number: int, factory: ConnectionFactory) -> asyncio.Protocol:
        # As much as is done while the load is even: anything more is 5 to 10 % of an accept.
        self._arrived += 1
        if len(self._watched) + self._context.running < self._enough:
            return factory()
        target = self._target()
        return factory() if target < 0 else _PassedOn(self, target, number, factory)

    def _divert(self, number: int, sock: socket.socket) -> bool:
        self._arrived += 1
        target = self._target()
        if target < 0 or not self.hand_over(target, number, sock.fileno()):
            return False
        sock.close()
        return True

    def hand_over(self, target: int, number: int, descriptor: int) -> bool:
        """Pass a connection on that was just accepted; whether that has worked."""
        if self.send(target, _NEW.pack(NEW, number), descriptor):
            self.handed += 1
            self._arrived -= 1
            return True
        self._promised[target] = max(0, self._promised[target] - 1)
        self.kept += 1
        return False

    def send(self, target: int, message: bytes, descriptor: int) -> bool:
        """Send a connection to another worker; whether that has worked."""
        if not self._rows[target].takes(int(monotonic() * 1000)):
            return False
        return pass_on(self._outboxes[target], message, descriptor)

    def _target(self) -> int:
        """The worker that the next connection should go to; -1 for this one."""
        connections, calls = self._load()
        mine = connections + calls
        target = self._emptiest(LEAVING if self._leaving else mine) if mine >= self._enough else -1
        if target >= 0:
            self._promised[target] += 1
        else:
            self._publish(connections + 1, calls)
        return target

    def _emptiest(self, mine: int) -> int:
        """The worker that is clearly emptier than one with load ``mine``, or -1."""
        peers = self._next_peers()
        now = int(monotonic() * 1000)
        index = choose(mine, [self._load_of(peer, now) for peer in peers])
        return -1 if index < 0 else peers[index]

    def _load(self) -> tuple[int, int]:
        """Connections, those that are on their way to become one included, and calls."""
        context = self._context
        return len(self._watched) + len(self._coming), context.running

    def _publish(self, connections: int, calls: int) -> None:
        if self._row.owner == self._pid:  # else a successor serves already
            self._row.publish(connections, calls)

    def _next_peers(self) -> list[int]:
        """Some of the others, at another one first each time."""
        peers = self._known
        if len(peers) > 1:
            peers.append(peers.pop(0))
        return peers[:LOOKED_AT]

    def _load_of(self, index: int, now: int) -> int:
        """The load of another worker at ``now``, with what is on its way there from here."""
        row = self._rows[index]
        taken = row.taken
        arrived, self._taken[index] = taken - self._taken[index], taken
        if not row.takes(now):
            self._promised[index] = 0
            return UNAVAILABLE
        if row.connections >= self._context.admission.most:
            return UNAVAILABLE  # it would only turn it away
        promised = self._promised[index]
        if promised:
            promised = self._promised[index] = max(0, promised - arrived)
        return row.load + promised

    # -- connections of others -----------------------------------------------------------------

    def serve(self, places: Sequence[object]) -> None:
        """Be known to the others, and take what they pass on.

        ``places`` are the addresses of this worker's listening sockets, in their order.
        """
        now = monotonic()
        neighbours = {
            slot: [
                (places.index(where), sock)
                for sock in sockets
                if (where := address_of(sock)) in places
            ]
            for slot, sockets in self._neighbours.items()
        }
        self._rescue = Rescue(self._loop, self._number, self._rows, neighbours, self._rescued)
        self._row.enter(self._pid, int(now * 1000))
        self._loop.add_reader(self._inbox.fileno(), self._read)
        self._due = now
        self._beat()

    def _beat(self) -> None:
        now = monotonic()
        lag = max(0.0, now - self._due)
        self._due = now + BEAT
        self._beats = self._loop.call_later(BEAT, self._beat)
        connections, calls = self._load()
        gone = self._arrived - (connections - self._before)
        self._arrived, self._before = 0, connections
        self._publish(connections, calls)
        if self._gives_away:
            self._mover.sweep(self._mover_target)
        if self._leaving:
            return
        if self._row.owner != self._pid:
            if self._row.takes(int(now * 1000)):
                return
            self._row.enter(self._pid, int(now * 1000))  # who had it serves no more
        self._row.beat(int(now * 1000), int(lag * 1e6))
        self._look(int(now * 1000), gone)
        if self._rescue is not None:
            self._rescue.look(int(now * 1000))
        self._until_even -= 1
        if not self._until_even:
            self._until_even = BEATS_BETWEEN
            self._rebalance(int(now * 1000))

    def _look(self, now: int, gone: int) -> None:
        """See who serves, and how little the others have.

        While this worker has not clearly more than that, its newcomers need no look at each.
        ``gone`` have come and gone again since the last beat.
        """
        self._known = [
            peer
            for peer in self._peers
            if peer + 1 in self._neighbours or self._rows[peer].takes(now)
        ]
        # One that is starting is as one that has nothing, for as soon as it serves.
        loads = [max(0, self._load_of(peer, now)) for peer in self._next_peers()]
        # One less, because one of them may have gone since.
        self._enough = least_surplus(min(loads, default=0)) - 1
        if gone > PASSING:
            self._enough += gone

    def _rebalance(self, now: int) -> None:
        """Move some idle connections, where this worker has many more than another."""
        rows = self._rows
        peers = [peer for peer in self._next_peers() if rows[peer].takes(now)]
        if peers:
            others = [rows[peer].connections for peer in peers]
            target = peers[others.index(min(others))]
            self._mover.rebalance(target, len(self._watched), others)

    def _read(self) -> None:
        """Take what has come, some at a time."""
        for _ in range(AT_ONCE):
            if not self._take_one():
                break

    def _take_one(self) -> bool:
        """Take one; whether there was one."""
        found = receive(self._inbox)
        if found is None:
            return False
        data, sock = found
        self._row.took()
        self._arrived += 1
        if sock is None:
            return True
        if data[:1] == NEW:
            self._takers[_NEW.unpack(data)[1]](sock)
        elif data[:1] == IDLE and self._context.scheme == "http":
            self._take_plain(self._mover.protocol(data), sock)
        else:  # plain HTTP, to a worker that was started for https
            sock.close()
        self._publish(*self._load())
        return True

    def _take_plain(self, factory: Callable[[], asyncio.Protocol], sock: socket.socket) -> None:
        task = self._loop.create_task(self._connect(factory, sock))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    def _rescued(self, number: int, sock: socket.socket) -> None:
        """A connection was accepted for a worker that does not: it goes to the emptiest."""
        if not self._divert(number, sock):
            self._takers[number](sock)

    async def _connect(self, factory: Callable[[], asyncio.Protocol], sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(factory, sock)
        except OSError:  # it has gone again
            sock.close()

    # -- the end -------------------------------------------------------------------------------

    def leave(self) -> None:
        """This worker drains: no other passes anything on to it."""
        self._leaving = True
        self._enough = 0
        if self._rescue is not None:
            self._rescue.close()
            self._rescue = None
        if self._row.owner == self._pid:
            self._row.leave()
        elif self._beats is not None:
            self._loop.remove_reader(self._inbox.fileno())  # it is the successor's

    async def give_away(self, force: asyncio.Event, budget: float) -> None:
        """Another worker takes over: move what is idle, or becomes so within ``budget`` seconds."""
        self._gives_away = True
        await self._mover.leave(self._mover_target, force, budget)

    def _mover_target(self) -> int:
        """Where to move a connection to: to the successor, else to the emptiest; -1: nowhere."""
        own = self._number - 1
        if self._row.owner != self._pid and self._row.takes(int(monotonic() * 1000)):
            return own
        return self._emptiest(LEAVING)

    def close(self) -> None:
        """Stop; what is still in the channel goes to others, unless a successor has it."""
        if self._beats is None:
            return
        self._beats.cancel()
        self._beats = None
        self._loop.remove_reader(self._inbox.fileno())
        while self._row.owner == self._pid and (found := receive(self._inbox)) is not None:
            data, sock = found
            target = self._mover_target()
            if sock is not None:
                if target >= 0:
                    self.send(target, data, sock.fileno())
                sock.close()

    @property
    def moved(self) -> int:
        """Connections passed on while they waited for a request, since start."""
        return self._mover.moved


class _PassedOn(asyncio.Protocol):
    """A connection that goes to another worker as soon as it has a transport."""

    def __init__(
        self, balancer: Balancer, target: int, number: int, factory: ConnectionFactory
    ) -> None:
        self._balancer = balancer
        self._target = target
        self._number = number
        self._factory = factory

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on; keep it where that does not work."""
        stream: Any = transport
        descriptor = stream.get_extra_info("socket").fileno()
        if self._balancer.hand_over(self._target, self._number, descriptor):
            stream.abort()  # closes our descriptor; the other's is not the same
            return
        protocol = self._factory()
        stream.set_protocol(protocol)
        protocol.connection_made(stream)
