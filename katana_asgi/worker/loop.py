"""The event loop of a worker; the only module that knows uvloop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.loader import import_reference
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.net.sockets import reason_of
from katana_asgi.worker.faults import run_until_done
from katana_asgi.worker.forked import loop_kept_from_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["loop_factory", "loop_name", "run_to_end"]

LEFT_BEHIND: Final = 1.0
"""Seconds that tasks and generators get to end after everything else has."""

logger = logging.getLogger("katana_asgi.error")


def loop_factory(loop: str, app_dir: str = "") -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop for the setting ``loop``; one of the application is imported.

    Raises ``ConfigurationError`` when uvloop was asked for by name and is not installed,
    ``StartupError`` for a factory that cannot be imported.
    """
    if ":" in loop:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_reference(loop, app_dir)
        return factory
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
    """The package it comes from, such as "uvloop" or "asyncio", for the start-up line."""
    return type(loop).__module__.partition(".")[0]


def run_to_end(
    work: Callable[[], Coroutine[Any, Any, None]], factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Run ``work()`` on a loop of its own, then end what it left behind.

    ``asyncio.Runner`` waits without end for tasks that swallow their cancellation and for busy
    threads; this does not. Raises what ``work`` raises, ``StartupError`` where the system has
    no descriptors for a loop, and ``RuntimeError`` where a loop is running in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an event loop is running here already: use await katana_asgi.serve(...), or "
            "await server.serve()"
        )
    try:
        loop = factory()
    except OSError as error:
        raise StartupError(f"cannot make an event loop: {reason_of(error)}") from None
    try:
        asyncio.set_event_loop(loop)
        with loop_kept_from_forks(loop):
            run_until_done(loop, loop.create_task(work()))
    finally:
        try:
            loop.run_until_complete(_end_the_rest(loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _end_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    generators = asyncio.ensure_future(loop.shutdown_asyncgens())
    _, pending = await asyncio.wait({*rest, generators}, timeout=LEFT_BEHIND)
    for task in pending:
        logger.warning("Left behind, since it does not end: %r", task)
        task._log_destroy_pending = False  # type: ignore[attr-defined] # said above, once
