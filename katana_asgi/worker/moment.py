"""What happens once and may be waited for anywhere: a server runs in one loop, who waits for it
may run in another, in another thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

__all__ = ["Moment"]


class Moment:
    """Like ``asyncio.Event``, which wakes only the loop that it is set in; it is never cleared."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: Future[None] = Future()

    def is_set(self) -> bool:
        """Whether it has come."""
        return self._future.done()

    def set(self) -> None:
        """It has come; from one thread."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Wait until it has come, in any loop."""
        if not self._future.done():
            # Shielded: one who gives up waiting would cancel it for all.
            await asyncio.shield(asyncio.wrap_future(self._future))
