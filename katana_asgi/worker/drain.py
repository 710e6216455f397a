"""The end of a worker: finish what runs, accept nothing new, always in bounded time.

First everybody who might send more is told: readiness turns red, responses say close, the
application gets its notice. Responses under way have a budget each for their kind; what is
left after that is cancelled. Lifespan shutdown comes last. A forced stop skips the waiting.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from katana_asgi.asgi.dispatch import running_calls
from katana_asgi.asgi.exchange import STREAMING

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.lifespan import Lifespan
    from katana_asgi.config.model import Config

__all__ = ["Budgets", "Farewell", "announce_end", "drain", "pause"]

UNWIND: Final = 2.0
"""Seconds a cancelled application gets to leave its finally blocks."""

GONE: Final = 0.1
"""Seconds for the event loop to close what was aborted; it takes a turn or two."""

logger = logging.getLogger("katana_asgi.error")


class Farewell(Enum):
    """How a worker takes its leave."""

    PROMPT = "prompt"  # idle connections end at once: Ctrl+C, the end of a program's block
    HANDOVER = "handover"  # somebody else has the socket already: idle connections get a grace
    NOTICE = "notice"  # a balancer has to find out: accept for a while, then as above


class Budgets(NamedTuple):
    """Seconds that responses which have not begun, those that stream, and the lifespan get."""

    http: float
    streams: float
    lifespan: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """The budgets of a configuration."""
        http = config.timeout_graceful_shutdown
        streams = config.timeout_stream_shutdown or http
        return cls(http, streams, config.timeout_lifespan_shutdown)


def announce_end(context: WorkerContext, grace: float) -> None:
    """Say everywhere that the worker drains; idle connections may stay for ``grace`` seconds."""
    context.draining = True
    context.grace = grace
    context.shutdown_notice.set()
    if grace:
        context.clock.shorten_idle_timeout(grace)


async def drain(
    context: WorkerContext, lifespan: Lifespan | None, force: asyncio.Event, budgets: Budgets
) -> None:
    """End all connections and exchanges of a worker, then its lifespan."""
    for connection in list(context.clock.watched):
        connection.wind_down(context.grace)
    # What the last turn accepted becomes a connection in this one.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    http, streams, last = budgets
    if not await _within(context.wait_idle(), force, min(http, streams)):
        calls = running_calls(context)
        late = [call for call in calls if (call[1].state == STREAMING) == (streams < http)]
        rest = len(calls) > len(late) or streams < http
        done = False
        if rest and http != streams and not force.is_set():
            _cancel(late)
            done = await _within(context.wait_idle(), force, abs(http - streams))
        if not done:
            await _cancel_all(context)
    if lifespan is None:
        return
    if not await _within(lifespan.shutdown(), force, last):
        if not force.is_set():
            logger.warning("Lifespan shutdown did not end in time")
        lifespan.cancel()


def _cancel(calls: list[tuple[asyncio.Task[Any], Exchange]]) -> None:
    if calls:
        logger.warning("Cancelling %d running requests", len(calls))
    for task, _ in calls:
        task.cancel()


async def _cancel_all(context: WorkerContext) -> None:
    logger.warning(
        "Cancelling %d running requests, closing %d connections",
        context.running,
        len(context.clock.watched),
    )
    for task, _ in running_calls(context):
        task.cancel()
    never = asyncio.Event()
    await _within(context.wait_idle(closed=False), never, UNWIND)
    # Nothing more will be sent; a client that does not close for its part is not waited for.
    for connection in list(context.clock.watched):
        connection.abort()
    await _within(context.wait_idle(), never, GONE)


async def pause(force: asyncio.Event, seconds: float) -> None:
    """Wait for ``seconds``, or until ``force`` is set."""
    await _within(asyncio.Event().wait(), force, seconds)


async def _within(wait: Coroutine[Any, Any, Any], force: asyncio.Event, budget: float) -> bool:
    """Await ``wait`` until it ends, ``budget`` seconds are over or ``force`` is set."""
    waiting = asyncio.ensure_future(wait)
    forced = asyncio.ensure_future(force.wait())
    try:
        await asyncio.wait((waiting, forced), timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        forced.cancel()
        if not waiting.done():
            waiting.cancel()
