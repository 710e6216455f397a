"""Signals that stop a server in the running loop: SIGINT, SIGTERM, SIGQUIT.

The handlers are Python's own, not the loop's: they run even while a callback holds the loop,
so that a blocked process can still be ended.
"""

from __future__ import annotations

import _thread
import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from katana_asgi.observe.logs import reopen_logs
from katana_asgi.worker.drain import Farewell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "ONE_STOP",
    "QUICK_STOP",
    "STOP_SIGNALS",
    "interrupted_by",
    "reopening_logs",
    "stop_on_signals",
]

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

QUICK_STOP: Final = getattr(signal, "SIGQUIT", None)  # not on Windows

ONE_STOP: Final = 0.5
"""Seconds within which the same signal counts once: ``timeout`` and some service managers send
it to the process and to its group."""

PATIENCE: Final = 1.0
"""Seconds the loop gets to act upon a stop that is to be at once, before the process is ended."""

LOOK: Final = 0.05
"""Seconds between two looks whether the loop has heard."""

logger = logging.getLogger("katana_asgi.error")


@contextmanager
def interrupted_by(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Within the block, each of the signals raises ``KeyboardInterrupt``.

    For an import, which a loop cannot interrupt: its own handlers wait until it is over.
    Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def reopening_logs() -> Iterator[None]:
    """Within the block, SIGUSR1 reopens the log files, even while the application is imported.

    Does nothing outside the main thread. Workers of a supervisor hear of it from there.
    """
    number = getattr(signal, "SIGUSR1", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, _reopen)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL if before is None else before)


def _reopen(_number: int, _frame: Any) -> None:
    reopen_logs()


class Stoppable(Protocol):
    """What a signal stops."""

    @property
    def started(self) -> bool:
        """Whether it serves."""

    def stop(self, *, force: bool = False, farewell: Farewell = Farewell.PROMPT) -> None:
        """Stop, gracefully or at once."""


class _Stops:
    """The stop signals of one server, as they arrive."""

    def __init__(
        self, server: Stoppable, loop: asyncio.AbstractEventLoop, force: bool, limit: float | None
    ) -> None:
        self._server = server
        self._loop = loop
        self._force = force
        self._limit = limit
        self._last = (0, 0.0)  # the last signal and when it came
        self._seen = 0
        # How many the loop has acted upon. A number, because a handler must take no lock: it
        # may have interrupted the one who holds it.
        self.heard = 0

    def arrived(self, number: int, _frame: Any = None) -> None:
        """Stop, or the second time, stop at once. Runs between two instructions of any code."""
        now = time.monotonic()
        last, self._last = self._last, (number, now)
        if last[0] == number and now - last[1] < ONE_STOP:
            return
        self._seen += 1
        seen = self._seen
        quick = number == QUICK_STOP
        again = quick or (self._force and seen > 1)
        farewell = Farewell.NOTICE if number == signal.SIGTERM else Farewell.PROMPT
        name = signal.Signals(number).name

        def stop() -> None:
            self.heard = max(self.heard, seen)
            # Without force it may come from a supervisor, and means a worker that is starting,
            # or from a service manager that signals every process, and means nothing new.
            if self._force or again or self._server.started:
                logger.info("Received %s, stopping%s", name, " at once" if again else "")
            self._server.stop(force=again, farewell=farewell)

        with suppress(RuntimeError):  # the loop has been closed in between
            self._loop.call_soon_threadsafe(stop)
        if self._limit is not None:
            patience = PATIENCE if again else self._limit
            _thread.start_new_thread(self._escape, (number, seen, patience))

    def _escape(self, number: int, seen: int, patience: float) -> None:
        """End the process when the loop does not come to it: a call of the application blocks."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.heard >= seen or self._seen > seen:  # a later one has a thread of its own
                return
            time.sleep(LOOK)
        logger.error("The event loop is blocked and cannot stop; the stacks follow")
        with suppress(Exception):
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
        logging.shutdown()
        os._exit(128 + number)


@contextmanager
def stop_on_signals(
    server: Stoppable,
    numbers: Sequence[signal.Signals] = STOP_SIGNALS,
    *,
    force: bool = True,
    limit: float | None = None,
) -> Iterator[None]:
    """Within the block, the first signal stops ``server``, with ``force`` the second at once.

    SIGQUIT stops at once where it is among the ``numbers``. With ``limit``, in seconds, the
    process itself ends when a blocked loop has not heard of the stop for so long. Does nothing
    outside the main thread, where Python allows no handlers. The handlers that were there
    before are put back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops = _Stops(server, asyncio.get_running_loop(), force, limit)
    before = {number: signal.signal(number, stops.arrived) for number in numbers}
    try:
        yield
    finally:
        stops.heard = sys.maxsize  # the loop has ended, in order
        for number, handler in before.items():
            signal.signal(number, handler)
