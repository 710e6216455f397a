"""SIGINT and SIGTERM for a server in the running loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from katana_asgi.observe.logs import reopen_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["STOP_SIGNALS", "interrupted_by", "reopening_logs", "stop_on_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

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

    def stop(self, *, force: bool = False) -> None:
        """Stop, gracefully or at once."""


@contextmanager
def stop_on_signals(
    server: Stoppable,
    numbers: Sequence[signal.Signals] = STOP_SIGNALS,
    *,
    force: bool = True,
) -> Iterator[None]:
    """Within the block, the first signal stops ``server``, with ``force`` the second at once.

    Does nothing outside the main thread, where Python allows no handlers. The handlers that
    were there before are put back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    seen = 0

    def arrived(number: int, _frame: Any = None) -> None:
        nonlocal seen
        seen += 1
        again = force and seen > 1
        name = signal.Signals(number).name
        logger.info("Received %s, stopping%s", name, " at once" if again else "")
        loop.call_soon_threadsafe(lambda: server.stop(force=again))

    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        try:
            loop.add_signal_handler(number, arrived, number)
        except NotImplementedError:  # Windows
            signal.signal(number, arrived)
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)
