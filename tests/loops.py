"""An event loop that is neither uvloop nor the usual one of asyncio: ``pytest --loop``."""

from __future__ import annotations

import asyncio
import selectors

__all__ = ["polling"]


def polling() -> asyncio.AbstractEventLoop:
    """Waits with poll(2) in the place of epoll."""
    return asyncio.SelectorEventLoop(selectors.PollSelector())
