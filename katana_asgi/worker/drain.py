"""The end of a worker: finish what runs, accept nothing new, always in bounded time.

First everybody who might send more is told: readiness turns red, responses say close, the
application gets its notice. Responses under way have a budget each for their kind; what is
left after that is cancelled. Lifespan shutdown comes last. A forced stop skips the waiting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.dispatch import running_calls
from katana_asgi.asgi.exchange import STREAMING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.lifespan import Lifespan
    from katana_asgi.worker.channel import Budgets

__all__ = ["BRIEF", "announce_end", "drain", "pause"]

BRIEF: Final = 0.2
"""Seconds that idle connections get at a stop without a shutdown delay: enough for a request
that was sent before the client can know of the end, and shorter than a tick of the clock."""

NOTE_AFTER: Final = 1.0
"""Seconds of waiting after which the log says what is waited for."""

UNWIND: Final = 2.0
"""Seconds a cancelled application gets to leave its finally blocks."""

GONE: Final = 0.1
"""Seconds for the event loop to close what was aborted; it takes a turn or two."""

logger = logging.getLogger("katana_asgi.error")


def announce_end(context: WorkerContext, grace: float) -> None:
    """Say everywhere that the worker drains; idle connections may stay for ``grace`` seconds."""
    context.draining = True
    context.grace = grace
    context.shutdown_notice.set()
    if grace:
        context.clock.shorten_idle_timeout(grace)


async def drain(
    context: WorkerContext,
    lifespan: Lifespan | None,
    force: asyncio.Event,
    budgets: Budgets,
    hint: str = "",
) -> None:
    """End all connections and exchanges of a worker, then its lifespan.

    ``hint`` follows in the log where it is said what is waited for.
    """
    if 0 < context.grace <= BRIEF:
        await _within(context.wait_idle(), force, context.grace)
        context.grace = 0.0
    for connection in list(context.clock.watched):
        connection.wind_down(context.grace)
    # What the last turn accepted becomes a connection in this one.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    http, streams, last = budgets

    def waiting() -> str:
        return f"{_remaining(context)}, up to {budgets.longest:g} s{hint}"

    if not await _within(context.wait_idle(), force, min(http, streams), waiting):
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

    def ending() -> str:
        return f"lifespan shutdown of the application, up to {last:g} s{hint}"

    if not await _within(lifespan.shutdown(), force, last, ending):
        if not force.is_set():
            logger.warning("Lifespan shutdown did not end in time")
        lifespan.cancel()


def _remaining(context: WorkerContext) -> str:
    """What a drain waits for, as the log says it."""
    calls = running_calls(context)
    streaming = sum(exchange.state == STREAMING for _, exchange in calls)
    return (
        f"{context.running} running requests ({streaming} of them streaming) and "
        f"{len(context.clock.watched)} open connections"
    )


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


async def _within(
    wait: Coroutine[Any, Any, Any],
    force: asyncio.Event,
    budget: float,
    waiting: Callable[[], str] | None = None,
) -> bool:
    """Await ``wait`` until it ends, ``budget`` seconds are over or ``force`` is set.

    Where that takes long, ``waiting`` has the words for the log.
    """
    awaited = asyncio.ensure_future(wait)
    forced = asyncio.ensure_future(force.wait())
    try:
        both = (awaited, forced)
        first = asyncio.FIRST_COMPLETED
        if waiting is not None and budget > NOTE_AFTER:
            done, _ = await asyncio.wait(both, timeout=NOTE_AFTER, return_when=first)
            if not done:
                logger.info("Waiting for %s", waiting())
                budget -= NOTE_AFTER
        await asyncio.wait(both, timeout=budget, return_when=first)
        return awaited.done()
    finally:
        forced.cancel()
        if not awaited.done():
            awaited.cancel()
