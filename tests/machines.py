"""What the state machines of connections, exchanges and WebSockets have in common.

An observer that keeps account, a way to have something called by the loop, as everything is, a
peer, and an application that obeys.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from katana_asgi.testing import FakeTimeLoop, MemoryServer, MemoryTransport, turns

__all__ = ["RARELY", "Endings", "Machine", "Obedient", "PeerMachine"]

RARELY = st.sampled_from([False, False, False, True])
"""For what ends a connection: most should live for a while."""


class Endings:
    """An observer: how each request that began came to its end."""

    reads_fields = False

    def __init__(self) -> None:
        self.endings: dict[Any, list[str]] = {}

    def began(self, exchange: Any) -> None:
        assert exchange not in self.endings
        self.endings[exchange] = []

    def first_byte(self, exchange: Any) -> None:
        assert not self.endings[exchange]

    def done(self, exchange: Any) -> None:
        self.endings[exchange].append("done")

    def ended(self, exchange: Any, status: int, remark: str) -> None:
        self.endings.setdefault(exchange, []).append(remark)

    def refused(self, peer: Any, head: Any, refusal: Any, exchange: Any) -> None:
        if exchange is not None:
            self.endings.setdefault(exchange, []).append(refusal.reason)

    def answered(self, peer: Any, head: Any, response: Any) -> None:
        """A static response is no exchange."""

    def upgraded(self, exchange: Any) -> None:
        assert not self.endings[exchange]

    def closed(self, exchange: Any, *_: Any) -> None:
        self.endings[exchange].append("closed")


class Machine(RuleBasedStateMachine):
    """A machine on a loop of this kind."""

    loop: FakeTimeLoop

    def happens(self, call: Any, *arguments: Any, count: int = 0) -> None:
        """Have something called by the loop, as everything is, and the loop turn."""
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                call(*arguments)
            except BaseException as error:  # noqa: BLE001 - it is raised below
                failures.append(error)

        async def soon() -> None:
            self.loop.call_soon(guarded)
            await turns(1 + count)

        self.loop.run_until_complete(soon())
        for failure in failures:
            raise failure

    @rule(count=st.integers(1, 5))
    def the_loop_turns(self, count: int) -> None:
        self.happens(int, count=count)

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 11.0, 32.0, 80.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock ticks on the way, and so do timers."""
        self.loop.run_until_complete(self.loop.advance(seconds))


class PeerMachine(Machine):
    """A machine of one connection, with all that its peer may do besides what it sends.

    ``eof``: the peer has ended its side.
    """

    transport: MemoryTransport
    eof: bool

    def read(self, data: bytes) -> None:
        if self.transport.reading:  # it may have been paused in this turn
            self.transport.feed(data)

    @precondition(lambda self: not self.eof and not self.transport.closing)
    @rule(really=RARELY, count=st.integers(0, 3))
    def the_peer_ends_its_side(self, really: bool, count: int) -> None:
        if really:
            self.eof = True
            self.happens(self.transport.end, count=count)

    @rule(size=st.sampled_from([10, 100, 150, 10**6]), count=st.integers(0, 3))
    def the_peer_takes_bytes(self, size: int, count: int) -> None:
        self.happens(self.transport.take, size, count=count)

    @precondition(lambda self: not self.transport.closing)
    @rule(really=RARELY)
    def the_peer_vanishes(self, really: bool) -> None:
        if really:
            self.happens(self.transport.fail, count=1)


class Obedient(MemoryServer):
    """One worker for all runs of a machine. Its application does as it is told, an order a step.

    "receive", "return" and "raise" are the same in all machines; ``carry_out`` does the others.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(self.application, lifespan="off", **settings)
        self.begin()

    def begin(self) -> None:
        """Another run."""
        self.orders: asyncio.Queue[Any] = asyncio.Queue()
        self.received: list[Any] = []
        self.receiving: asyncio.Future[Any] | None = None

    async def carry_out(self, order: Any, send: Any) -> None:
        """Send what ``order`` asks for."""
        raise NotImplementedError

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._obey(receive, send)
        finally:
            if self.receiving is not None:
                self.receiving.cancel()

    async def _receive(self, receive: Any) -> None:
        self.received.append(await receive())

    async def _obey(self, receive: Any, send: Any) -> None:
        while True:
            order = await self.orders.get()
            if order == "return":
                return
            if order == "raise":
                raise ZeroDivisionError
            if order != "receive":
                await self.carry_out(order, send)
            elif self.receiving is None or self.receiving.done():
                self.receiving = asyncio.ensure_future(self._receive(receive))
