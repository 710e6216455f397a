"""Starlette: lifespan state, a streamed response, and server-sent events.

Needs ``pip install starlette``::

    katana-asgi examples.starlette_app:app
    curl -N http://127.0.0.1:8000/events
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypedDict

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


class Board:
    """Passes notices from those who post to those who listen."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str]] = set()

    @property
    def listeners(self) -> int:
        """How many listen at present."""
        return len(self._listeners)

    def post(self, notice: str) -> None:
        """Give a notice to everybody who listens."""
        for queue in self._listeners:
            queue.put_nowait(notice)

    async def notices(self, patience: float) -> AsyncIterator[str | None]:
        """The notices from now on; ``None`` when there was none for ``patience`` seconds."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), patience)
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(queue)


class State(TypedDict):
    """What lifespan startup makes and every request finds in ``request.state``."""

    board: Board


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[State]:
    """Runs once for each worker, before the first request and after the last."""
    yield {"board": Board()}


async def post(request: Request) -> PlainTextResponse:
    """Post a notice."""
    board: Board = request.state.board
    board.post((await request.body()).decode())
    return PlainTextResponse(f"{board.listeners} listening\n", status_code=202)


async def events(request: Request) -> StreamingResponse:
    """Notices as server-sent events, until the client leaves."""
    board: Board = request.state.board

    async def stream() -> AsyncIterator[str]:
        yield ": welcome\n\n"
        async for notice in board.notices(patience=15):
            # A comment now and then keeps proxies awake, and shows us clients that have left.
            yield ": still here\n\n" if notice is None else f"data: {notice}\n\n"

    headers = {"cache-control": "no-store"}
    return StreamingResponse(stream(), headers=headers, media_type="text/event-stream")


async def numbers(request: Request) -> StreamingResponse:
    """Count up to a number, line by line, without ever holding the whole response."""

    async def lines() -> AsyncIterator[str]:
        for number in range(1, request.path_params["last"] + 1):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


app = Starlette(
    routes=[
        Route("/notices", post, methods=["POST"]),
        Route("/events", events),
        Route("/numbers/{last:int}", numbers),
    ],
    lifespan=lifespan,
)
