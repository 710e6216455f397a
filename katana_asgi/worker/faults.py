"""What must not end a worker, nor fill its log: an application that exits, a system without
descriptors, a client whose host name is none.

An application task that raises ``SystemExit`` or ``KeyboardInterrupt`` ends the run of the
event loop, not the loop: it can be run on. Both loops survive a lack of descriptors, asyncio
loudly and uvloop without a word; here it is said once.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.failures import leave_fork

if TYPE_CHECKING:
    import asyncio

__all__ = ["DescriptorWatch", "pass_over_host_names", "run_until_done"]

QUIET: Final = 10
"""Ticks without a failure after which a lack counts as over: it tends to come and go."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})

logger = logging.getLogger("katana_asgi.error")


def run_until_done(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Run the loop until ``task`` is done, whatever other tasks raise; raises what it raises.

    A process that the application has forked, and that leaves with ``sys.exit``, ends here.
    """
    pid = os.getpid()
    while True:
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            leave_fork(error, pid)
            if task.done():
                raise
            logger.error(
                "A task of the application raised %s; the worker goes on",
                type(error).__name__,
                exc_info=error,
            )
        else:
            return


def pass_over_host_names() -> None:
    """Have no traceback written for a TLS client whose host name is not ASCII.

    ``ssl`` decodes the name before it asks anybody, and reports as unraisable that it could not:
    on standard error, as often as a client likes. The handshake fails all the same.
    """
    report_others = sys.unraisablehook

    def report(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, UnicodeDecodeError) and (
            type(unraisable.object) is bytes  # the name itself; elsewhere it is what was called
        ):
            logger.debug("A TLS handshake failed: the host name is not ASCII")
        else:
            report_others(unraisable)

    sys.unraisablehook = report


class DescriptorWatch:
    """Looks once a tick whether the process can still open anything."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._exhausted = False
        self._quiet = 0
        loop.set_exception_handler(self._loop_reports)

    def tick(self) -> None:
        """Look, and say what has changed."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._note(True)
        else:
            self._note(False)

    def _note(self, exhausted: bool) -> None:
        self._quiet = 0 if exhausted else self._quiet + 1
        if exhausted and not self._exhausted:
            self._exhausted = True
            logger.error("Out of file descriptors: new connections have to wait or are dropped")
        elif self._exhausted and self._quiet >= QUIET:
            self._exhausted = False
            logger.info("File descriptors are available again")

    def _loop_reports(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context:
            self._note(True)  # asyncio reports every accept that fails; it tries again later
        else:
            loop.default_exception_handler(context)
