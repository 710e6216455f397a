"""The call of the application for one exchange.

In a module of its own that is never compiled: the end of a worker finds running calls by the
frame of this coroutine, and a compiled one has none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katana_asgi.asgi.exchange import COMPLETE

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange

__all__ = ["call"]


async def call(exchange: Exchange, context: WorkerContext) -> None:
    """Call the application and answer for it where it fails."""
    try:
        await context.application(exchange.scope, exchange.receive, exchange.send)
    except asyncio.CancelledError:
        exchange.cancelled()
    except BaseException as error:  # noqa: BLE001 - nothing an application raises ends a worker
        exchange.failed(error)
    else:
        if exchange.state != COMPLETE and not exchange.disconnected:
            exchange.returned_early()
    finally:
        context.exchange_finished()
