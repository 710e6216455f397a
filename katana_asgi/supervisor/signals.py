"""Signals as readable events: the handlers do nothing, the wake-up descriptor tells the loop.

Nothing of the supervisor ever runs inside a handler, and a signal that arrives between two
waits is not lost.
"""

from __future__ import annotations

import signal
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType
    from typing import Any, TypeAlias

    Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

__all__ = ["FORWARDED", "STOPS", "SignalWatch", "describe_signal", "held_back", "reset_in_child"]

STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""What must not reach a child before it has its own signals."""

WATCHED: Final = (
    *STOPS,
    *(
        getattr(signal, name)
        for name in ("SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")
        if hasattr(signal, name)
    ),
)

FORWARDED: Final = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")
    if hasattr(signal, name)
)
"""What a worker must survive when it reaches the whole group; a handler, unlike ignoring, does
not last beyond the exec of a program that the application starts."""


class SignalWatch:
    """Collects the signals of a supervisor while it is entered; restores all of it after.

    Raises ``StartupError`` when entered outside the main thread, where Python has no signals.
    """

    def __init__(self) -> None:
        self.signals = WATCHED
        self.hangup_ignored = False  # nohup: SIGHUP is not the end of a terminal
        self._earlier: dict[signal.Signals, Handler] = {}
        self._earlier_wakeup = -1
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> SignalWatch:
        try:
            self._earlier_wakeup = signal.set_wakeup_fd(
                self._writer.fileno(), warn_on_full_buffer=False
            )
        except ValueError as error:
            self._close()
            raise StartupError("more than one worker needs the main thread") from error
        for number in self.signals:
            self._earlier[number] = signal.signal(number, _do_nothing)
        hangup = getattr(signal, "SIGHUP", None)
        self.hangup_ignored = self._earlier.get(hangup) is signal.SIG_IGN if hangup else False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            # None: a handler that was not set from Python cannot be put back by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._earlier_wakeup)
        self._close()

    def fileno(self) -> int:
        """Return the descriptor to watch for reading."""
        return self._reader.fileno()

    def read(self) -> list[int]:
        """Return the numbers of the signals that have arrived, in their order."""
        arrived = bytearray()
        with suppress(BlockingIOError):
            while True:
                arrived += self._reader.recv(4096)
        return list(arrived)

    def close_in_child(self) -> None:
        """Close the copies of a forked worker; call ``reset_in_child`` before."""
        self._close()

    def _close(self) -> None:
        self._reader.close()
        self._writer.close()


@contextmanager
def held_back(signals: tuple[signal.Signals, ...]) -> Iterator[set[signal.Signals]]:
    """Hold ``signals`` back around a fork; gives the signal mask to return to.

    Between the fork and its reset a child would report its signals to the supervisor,
    through the wake-up descriptor that both have.
    """
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield {signal.Signals(number) for number in earlier}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def reset_in_child(mask: set[signal.Signals], survive: tuple[signal.Signals, ...] = ()) -> None:
    """Give a forked process default signals, apart from those it is to ``survive``.

    Ctrl-C reaches every process of the terminal; the supervisor speaks for them all. Until
    the worker says otherwise SIGTERM ends it at once, even in the middle of an import.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in survive:
        signal.signal(number, _do_nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def describe_signal(number: int) -> str:
    """Return the name of a signal, or its number where it has none (real-time signals)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Exist, so that the signal reaches the wake-up descriptor instead of its default."""
