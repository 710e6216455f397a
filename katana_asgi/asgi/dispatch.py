"""Begin and end of a call of the application: the one place that counts, limits and cancels.

A connection opens an exchange for a head, gives it the content that came along, and begins the
call. However the call ends, ``_call`` hears of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katana_asgi.asgi.exchange import COMPLETE, STARTED
from katana_asgi.asgi.extended import ExtendedExchange, TrailersExchange
from katana_asgi.asgi.failures import leave_fork
from katana_asgi.asgi.scope import http_scope
from katana_asgi.asgi.start import start
from katana_asgi.http.refusal import OVERLOADED, Refusal
from katana_asgi.observe.observer import LEFT

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.http.message import RequestHead
    from katana_asgi.net.peer import Peer

__all__ = [
    "begin",
    "end_call",
    "open_exchange",
    "refusal_for",
    "running_calls",
]

CONTENT_TOO_LARGE = Refusal(413, "content too large")


def refusal_for(context: WorkerContext, head: RequestHead) -> Refusal | None:
    """Why a request does not reach the application; ``None``: it does."""
    limit = context.limit_body
    if limit and (head.content_length or 0) > limit:
        return CONTENT_TOO_LARGE
    limit = context.limit_concurrency
    if limit and len(context.calls) >= limit:
        return OVERLOADED
    return None


def open_exchange(
    context: WorkerContext,
    writer: ResponseWriter,
    head: RequestHead,
    peer: Peer,
    *,
    trailers: bool = False,
) -> Exchange:
    """The exchange of an HTTP request that is not refused; it may want ``trailers``."""
    scope = http_scope(context, head, peer)
    if trailers:
        scope["extensions"]["http.response.trailers"] = {}
        return TrailersExchange(context, writer, head, peer, scope)
    return ExtendedExchange(context, writer, head, peer, scope)


def begin(context: WorkerContext, exchange: Exchange) -> None:
    """Call the application, in its own copy of the context that startup left."""
    context.calls[exchange] = None
    if context.observer is not None:
        context.observer.began(exchange)
    task = start(_call(exchange, context), context.loop, context.variables.copy())
    exchange.task = task
    if exchange in context.calls:  # else it has returned
        context.calls[exchange] = task
    if exchange.state == STARTED and not exchange.disconnected:
        exchange.expect_content()


async def _call(exchange: Exchange, context: WorkerContext) -> None:
    try:
        await context.application(exchange.scope, exchange.receive, exchange.send)
    except asyncio.CancelledError:
        exchange.cancelled()
    except BaseException as error:  # noqa: BLE001 - nothing an application raises ends a worker
        leave_fork(error, context.pid)
        exchange.failed(error)
    else:
        if exchange.state != COMPLETE and not exchange.disconnected:
            exchange.returned_early()
    finally:
        context.exchange_finished(exchange)


def end_call(context: WorkerContext, exchange: Exchange, *, aborted: bool = False) -> None:
    """The peer has gone, or it was made to: say how the exchange ended, and tell the application.

    ``aborted``: it was not the peer that ended it.
    """
    observer = context.observer
    if observer is not None:
        if exchange.whole:
            observer.done(exchange)
        elif aborted:
            status = exchange.status if exchange.on_the_wire else LEFT
            observer.ended(exchange, status, "aborted")
        elif exchange.on_the_wire:
            observer.ended(exchange, LEFT, f"client left after {exchange.status}")
        else:
            observer.ended(exchange, LEFT, "client left")
    exchange.disconnect()
    exchange.cancel_in_time()


def running_calls(context: WorkerContext) -> list[tuple[asyncio.Task[None], Exchange]]:
    """The calls of this worker's application, which may have outlived their connections."""
    return [(task, exchange) for exchange, task in context.calls.items() if task is not None]
