"""What the state machines of connections, exchanges and WebSockets have in common.

An observer that keeps account, and a way to have something
called by the loop, as everything is.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from katana_asgi.testing import FakeTimeLoop, turns

__all__ = ["RARELY", "Endings", "Machine"]

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
