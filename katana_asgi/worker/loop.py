"""The event loop of a worker; the only module that knows uvloop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["loop_factory", "loop_name"]


def loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop for the setting ``loop``.

    Raises ``ConfigurationError`` when uvloop was asked for by name and is not installed.
    """
    if loop != "asyncio":
        try:
            import uvloop
        except ImportError:
            if loop == "uvloop":
                raise ConfigurationError(
                    "setting loop: uvloop is not installed; allowed here: auto, asyncio"
                ) from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def loop_name(loop: asyncio.AbstractEventLoop) -> str:
    """ "uvloop" or "asyncio", for the start-up line."""
    return "uvloop" if type(loop).__module__.partition(".")[0] == "uvloop" else "asyncio"
