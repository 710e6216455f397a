"""The signals of a process that serves: those that stop it, and those that ask for something.

The handlers are Python's own, not the loop's: they run even while a callback holds the loop,
so that a blocked process can still be ended. One object handles the stop signals of a process
and knows every server that they end; processes that the application forks get the handlers
that were there before.
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

from katana_asgi.observe.descriptor import terminal_is_gone
from katana_asgi.observe.logs import reopen_logs
from katana_asgi.worker.channel import ONE_STOP, ShutdownMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "QUICK_STOP",
    "STOP_SIGNALS",
    "Orders",
    "interrupted_by",
    "orders_obeyed",
    "reset_in_fork",
    "signals_stop_servers",
    "stop_on_signals",
]

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

QUICK_STOP: Final = getattr(signal, "SIGQUIT", None)  # not on Windows

PATIENCE: Final = 1.0
"""Seconds the loop gets to act upon a stop that is to be at once, before the process is ended."""

POLL: Final = 0.05
"""Seconds between two checks whether the loop has acted upon a signal."""

ONE_NOTE: Final = 1.0
"""Seconds between two lines about the same signal: a background job that reads its terminal
gets SIGTTIN without end."""

SUPERVISED_ONLY: Final = {
    "SIGUSR2": "replacing katana-asgi itself",
    "SIGTTIN": "one worker more",
    "SIGTTOU": "one worker less",
}
"""Signals that only a supervisor can obey, and what they ask for."""

OWN_MODULES: Final = ("katana_asgi.", "asyncio.", "uvloop.")
"""Where the handlers come from that a forked process must not keep: ours, and the empty ones
of event loops, which only feed a loop that does not run in the new process."""

logger = logging.getLogger("katana_asgi.error")

_handlers_before: Final[dict[int, Any]] = {}
"""The handlers in whose place ours are, for processes that the application forks."""


def _install(number: int, handler: Callable[[int, Any], None]) -> Any:
    before = signal.signal(number, handler)
    if not _is_own(before):
        _handlers_before[number] = before
    return before


def _restore(number: int, before: Any) -> None:
    # None: a handler that was not set from Python cannot be put back by it.
    signal.signal(number, signal.SIG_DFL if before is None else before)
    if not _is_own(before):
        _handlers_before.pop(number, None)


def _is_own(handler: Any) -> bool:
    return callable(handler) and (getattr(handler, "__module__", None) or "").startswith(
        OWN_MODULES
    )


def reset_in_fork() -> None:
    """Give a process that the application has forked signals as in any program.

    Called in the new process, whose only thread is its main thread. Handlers of the application
    stay; the wake-up descriptor goes, because both processes share it: a signal to one would be
    delivered to the loop of the other.
    """
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    with suppress(AttributeError, OSError, RuntimeError, ValueError):
        faulthandler.unregister(signal.SIGURG)
    for number in signal.valid_signals():
        if _is_own(signal.getsignal(number)):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            before = _handlers_before.get(number, default)
            with suppress(OSError, ValueError):
                signal.signal(number, default if before is None else before)
    _handlers_before.clear()
    _stops.forget()


@contextmanager
def interrupted_by(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Within the block, each of the signals raises ``KeyboardInterrupt``.

    For an import, which a loop cannot interrupt: its own handlers wait until it is over.
    Does nothing outside the main thread.
    """
    if not _in_main_thread():
        yield
        return
    before = {number: _install(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            _restore(number, handler)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


class Orders:
    """What a service of a single process does when a signal asks for something.

    SIGUSR1 reopens the log files. SIGHUP does too and calls ``reload``, which the worker sets
    once there is something to read again; when the terminal of the process has gone it stops
    the process, as for any program. What needs a supervisor gets a line that says so.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.reload: Callable[[], None] | None = None
        self.hangup_ignored = False  # nohup: SIGHUP is not the end of a terminal
        self._noted: dict[int, float] = {}

    def signals(self) -> list[int]:
        """The signals that this system has and that are obeyed here."""
        names = ("SIGUSR1", "SIGHUP", *SUPERVISED_ONLY)
        return [getattr(signal, name) for name in names if hasattr(signal, name)]

    def arrived(self, number: int, _frame: Any = None) -> None:
        """Handle a signal. Runs between two instructions of any code."""
        if number == signal.SIGUSR1:
            reopen_logs()
        elif number == signal.SIGHUP:
            if not self.hangup_ignored and terminal_is_gone():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            reopen_logs()
            self._in_loop(self._reread)
        elif time.monotonic() - self._noted.get(number, -ONE_NOTE) >= ONE_NOTE:
            self._noted[number] = time.monotonic()
            self._in_loop(lambda: self._note(number))

    def _in_loop(self, call: Callable[[], None]) -> None:
        """Call from the loop, since the handler may have interrupted a write to the log."""
        with suppress(RuntimeError):  # the loop has been closed
            if self.loop is not None:
                self.loop.call_soon_threadsafe(call)

    def _reread(self) -> None:
        logger.info(
            "Received SIGHUP: log files and certificates are read again; new code and settings "
            "need a restart, or a supervisor (--supervise or --workers 2)"
        )
        if self.reload is not None:
            try:
                self.reload()
            except Exception:
                logger.exception("Not reloaded, the service goes on as it is")

    def _note(self, number: int) -> None:
        name = signal.Signals(number).name
        logger.warning(
            "Received %s: %s needs a supervisor (--supervise or --workers 2); nothing was done",
            name,
            SUPERVISED_ONLY[name],
        )


@contextmanager
def orders_obeyed() -> Iterator[Orders]:
    """Within the block the signals of ``Orders`` are obeyed, also while the application is
    imported.

    Does nothing outside the main thread. Workers of a supervisor hear of it from there.
    """
    orders = Orders()
    if not _in_main_thread():
        yield orders
        return
    before = {number: _install(number, orders.arrived) for number in orders.signals()}
    orders.hangup_ignored = before.get(getattr(signal, "SIGHUP", 0)) is signal.SIG_IGN
    try:
        yield orders
    finally:
        for number, handler in before.items():
            _restore(number, handler)


class Stoppable(Protocol):
    """What a signal stops."""

    @property
    def started(self) -> bool:
        """Whether it serves."""

    @property
    def should_exit(self) -> bool:
        """Whether it was asked to stop."""

    def stop(self, *, force: bool = False, mode: ShutdownMode = ShutdownMode.PROMPT) -> None:
        """Stop, gracefully or at once; from any thread."""


class _Member:
    """A server that the stop signals end."""

    def __init__(
        self, server: Stoppable, loop: asyncio.AbstractEventLoop, force: bool, limit: float | None
    ) -> None:
        self.server = server
        self._loop = loop
        self._force = force
        self._limit = limit
        self._seen = 0
        # How many the loop has acted upon. A number, because a handler must take no lock: it
        # may have interrupted the one who holds it.
        self.heard = 0

    def arrived(self, number: int, *, first: bool) -> None:
        """Stop, or the second time, stop at once; the ``first`` of several writes to the log."""
        self._seen += 1
        seen = self._seen
        again = number == QUICK_STOP or (self._force and seen > 1)
        mode = ShutdownMode.NOTICE if number == signal.SIGTERM else ShutdownMode.PROMPT
        name = signal.Signals(number).name

        def stop() -> None:
            self.heard = max(self.heard, seen)
            # Without force it may come from a supervisor, and means a worker that is starting,
            # or from a service manager that signals every process, and means nothing new.
            if first and (self._force or again or self.server.started):
                logger.info("Received %s, stopping%s", name, " at once" if again else "")
            self.server.stop(force=again, mode=mode)

        with suppress(RuntimeError):  # the loop has been closed in between
            self._loop.call_soon_threadsafe(stop)
        if self._limit is not None:
            patience = PATIENCE if again else self._limit
            with suppress(RuntimeError):  # no thread to be had
                _thread.start_new_thread(self._escape, (number, seen, patience))

    def _escape(self, number: int, seen: int, patience: float) -> None:
        """End the process when the loop does not act: a call of the application blocks it."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.heard >= seen or self._seen > seen:  # a later one has a thread of its own
                return
            time.sleep(POLL)
        logger.error("The event loop is blocked and cannot stop; the stacks follow")
        with suppress(Exception):
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
        logging.shutdown()
        os._exit(128 + number)


class StopSignals:
    """The stop signals of the process, and the servers that they end: one signal ends them all.

    Libraries find it as ``signal.getsignal(SIGTERM).__self__`` and read ``should_exit``, as they
    do with uvicorn: sse-starlette ends its streams by it.
    """

    def __init__(self) -> None:
        self._members: list[_Member] = []
        self._before: dict[int, Any] = {}
        self._installed = 0  # members that have asked for handlers
        self._last = (0, 0.0)  # the last signal and when it came

    @property
    def active(self) -> bool:
        """Whether a signal ends any server."""
        return self._installed > 0

    @property
    def should_exit(self) -> bool:
        """Whether every server of the process was asked to stop."""
        members = self._members
        return bool(members) and all(member.server.should_exit for member in members)

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        """Stop every server."""
        if value:
            for member in self._members.copy():
                member.server.stop()

    @property
    def force_exit(self) -> bool:
        """Whether every server of the process was asked to stop at once."""
        members = self._members
        return bool(members) and all(
            getattr(member.server, "force_exit", False) for member in members
        )

    def arrived(self, number: int, _frame: Any = None) -> None:
        """Stop every server. Runs between two instructions of any code."""
        now = time.monotonic()
        last, self._last = self._last, (number, now)
        if last[0] == number and now - last[1] < ONE_STOP:
            return
        for place, member in enumerate(self._members.copy()):
            member.arrived(number, first=place == 0)

    @contextmanager
    def ending(self, member: _Member, numbers: Sequence[signal.Signals]) -> Iterator[None]:
        """Within the block a signal ends ``member`` too.

        Outside the main thread Python allows no handlers: then those that a server in the main
        thread has installed end it.
        """
        main = _in_main_thread()
        if not self._members:
            self._last = (0, 0.0)
        self._members.append(member)
        if main:
            self._installed += 1
            for number in numbers:
                if number not in self._before:
                    self._before[number] = _install(number, self.arrived)
        try:
            yield
        finally:
            member.heard = sys.maxsize  # the loop has ended, in order
            if member in self._members:  # not in a process that was forked meanwhile
                self._members.remove(member)
                if main:
                    self._installed -= 1
                    if not self._installed:
                        self._uninstall()

    def _uninstall(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            _restore(number, handler)

    def forget(self) -> None:
        """Know no server any more: this is a process that was forked."""
        self.__init__()  # type: ignore[misc] # the state of a new process is that of a new object


_stops: Final = StopSignals()


def signals_stop_servers() -> bool:
    """Whether signals end the servers of this process."""
    return _stops.active


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
    process itself ends when a blocked loop has not acted upon the stop for so long. The handlers
    that were there before are put back by the last server that leaves.
    """
    member = _Member(server, asyncio.get_running_loop(), force, limit)
    with _stops.ending(member, numbers):
        yield


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
