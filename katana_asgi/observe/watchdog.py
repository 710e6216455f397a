"""A thread that notices a blocked event loop and logs where it hangs (``slow_request``).

It asks the loop for a sign of life four times per limit; a loop that gives none for a limit is
blocked. Runs only where the setting is on.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from katana_asgi.observe.stacks import thread_stack

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopWatchdog"]

LOOKS: Final = 4
"""Signs of life per limit: a blockage of 1 1/4 limits is never missed."""

logger = logging.getLogger("katana_asgi.error")


class LoopWatchdog:
    """Watches the loop of the thread that makes it; logs each blockage once, and its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._watched = threading.get_ident()
        self._alive = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the thread has ended."""
        self._over.set()
        self._alive.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._limit / LOOKS):
            self._alive.clear()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # closed
                return
            if self._alive.wait(self._limit) or self._over.is_set():
                continue
            logger.warning(
                "The event loop is blocked for more than %g s:\n%s",
                self._limit,
                thread_stack(self._watched).rstrip(),
            )
            self._alive.wait()
            logger.warning("The event loop was blocked for %.3f s", time.monotonic() - asked)
