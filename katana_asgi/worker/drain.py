"""The end of a worker: finish what runs, accept nothing new, always in bounded time.

Responses that are under way get the graceful budget; what is left after that is cancelled.
Lifespan shutdown comes last and has the same budget. A forced stop skips the waiting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.lifespan import Lifespan

__all__ = ["drain"]

UNWIND: Final = 2.0
"""Seconds a cancelled application gets to leave its finally blocks."""

GONE: Final = 0.1
"""Seconds for the event loop to close what was aborted; it takes a turn or two."""

logger = logging.getLogger("katana_asgi.error")


async def drain(
    context: WorkerContext, lifespan: Lifespan | None, force: asyncio.Event, budget: float
) -> None:
    """End all connections and exchanges of a worker, then its lifespan; ``budget`` in seconds."""
    context.draining = True
    for connection in list(context.clock.watched):
        connection.shutdown()
    if not await _within(context.wait_idle(), force, budget):
        logger.warning(
            "Cancelling %d running requests, closing %d connections",
            context.running,
            len(context.clock.watched),
        )
        await _cancel(context)
    if lifespan is not None and not await _within(lifespan.shutdown(), force, budget):
        logger.warning("Lifespan shutdown did not end in time")
        lifespan.cancel()


async def _cancel(context: WorkerContext) -> None:
    for task in asyncio.all_tasks():
        if _is_call(task, context):
            task.cancel()
    never = asyncio.Event()
    await _within(context.wait_idle(closed=False), never, UNWIND)
    # Nothing more will be sent; a client that does not close for its part is not waited for.
    for connection in list(context.clock.watched):
        connection.abort()
    await _within(context.wait_idle(), never, GONE)


def _is_call(task: asyncio.Task[Any], context: WorkerContext) -> bool:
    """Whether a task is a call of this worker's application, not another server's in the loop.

    Exchanges are found through their tasks, because a background task may outlive its
    connection, and a registry would cost every request what only this end needs.
    """
    frame = getattr(task.get_coro(), "cr_frame", None)
    if frame is None or frame.f_code is not Exchange.run.__code__:
        return False
    exchange: Exchange = frame.f_locals["self"]
    return exchange._context is context


async def _within(wait: Coroutine[Any, Any, None], force: asyncio.Event, budget: float) -> bool:
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
