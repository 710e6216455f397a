"""The lifespan of the application in one worker (ASGI lifespan 2.0).

The application runs in one task for as long as the worker serves. What it set in its context
variables before ``lifespan.startup.complete`` is what every request starts from.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from katana_asgi.asgi.failures import leave_fork
from katana_asgi.errors import LocalProtocolError, StartupError

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Message

__all__ = ["Lifespan"]

STARTUP_FAILED = 3
"""The exit status after a failed startup, as uvicorn's users know it."""

logger = logging.getLogger("katana_asgi.error")


class Lifespan:
    """Runs startup and shutdown; ``mode`` is the setting ``lifespan``."""

    def __init__(self, application: ASGIApplication, mode: str) -> None:
        self._application = application
        self._mode = mode
        self._pid = os.getpid()  # not that of a process which the application forks
        self.state: dict[str, Any] = {}
        self.variables: Context = copy_context()
        self._entered = self.variables  # where the application runs
        self._startup_sent = False
        self._failure: str | None = None
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._complete = False
        self._said = ""  # the message of a startup or shutdown that failed
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Send ``lifespan.startup`` and wait for the answer.

        Raises ``StartupError`` with status 3 when the application says ``startup.failed``, or
        when mode is "on" and it does not support lifespan.
        """
        if self._mode == "off":
            return
        self._entered = copy_context()
        self._task = asyncio.get_running_loop().create_task(self._run(), context=self._entered)
        await self._started.wait()
        if self._failure is not None:
            raise StartupError(self._failure, STARTUP_FAILED)

    async def shutdown(self) -> None:
        """Send ``lifespan.shutdown`` and wait for the answer, where startup was completed."""
        if self._task is None:
            return
        if self._complete and not self._task.done():
            self._stopping.set()
            await self._stopped.wait()
        await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Give up on an application that does not come back from shutdown."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - nothing an application raises ends a worker
            leave_fork(error, self._pid)
            self._raised(error)
        finally:
            self._started.set()
            self._stopped.set()

    def _raised(self, error: BaseException) -> None:
        if type(error).__name__ in self._said:  # frameworks say what failed, and raise it again
            logger.debug("It raised after that", exc_info=error)
        elif self._started.is_set():
            logger.error("Exception in ASGI lifespan", exc_info=error)
        elif self._mode == "on":
            logger.error("Exception in ASGI lifespan", exc_info=error)
            self._failure = "application startup failed"
        else:
            logger.info("ASGI lifespan is not supported by the application")
            logger.debug("It raised on the lifespan scope", exc_info=error)

    async def _receive(self) -> Message:
        if not self._startup_sent:
            self._startup_sent = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete" and not self._started.is_set():
            self._complete = True
            # Now, not when the waiter wakes up: what is set later is no part of startup.
            self.variables = self._entered.copy()
            self._started.set()
        elif kind == "lifespan.startup.failed" and not self._started.is_set():
            text = str(message.get("message", "")).strip()
            self._failure = f"application startup failed: {text}".rstrip(": ")
            self._said = text
            self._started.set()
        elif kind == "lifespan.shutdown.complete" and self._stopping.is_set():
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed" and self._stopping.is_set():
            text = str(message.get("message", "")).strip()
            logger.error("Application shutdown failed: %s", text)
            self._said = text
            self._stopped.set()
        else:
            raise LocalProtocolError(f"unexpected message type {kind!r}")
