"""Text to a descriptor, without ever waiting for whoever reads it: streams for log handlers.

A file gets a batch in one write. A pipe, a socket or a terminal gets whole lines, as much at
a time as cannot block and cannot mix with the lines of another worker; what it does not take
waits, up to a bound.
"""

from __future__ import annotations

import os
import select
import stat
import time
from contextlib import suppress
from typing import Final

__all__ = ["DescriptorStream", "FileStream", "own_end", "terminal_is_gone"]

MOST_WAITING: Final = 1024 * 1024
"""Bytes that wait for a reader that has stopped: beyond, lines are lost and counted."""

AT_ONCE: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe takes whole, or not at all (POSIX, write)."""


class DescriptorStream:
    """What a ``logging.StreamHandler`` needs of a stream: ``write`` and ``flush``.

    ``waiting`` says whether something is left to be written, ``lost`` counts lines that were
    not kept. ``flush`` raises ``OSError`` where writing fails; what was to be written then is
    gone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._patient = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._pending = bytearray()
        self._torn = False  # a line was left half written
        self.lost = 0

    @property
    def waiting(self) -> bool:
        """Whether something is left to be written."""
        return bool(self._pending)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Take text; ``flush`` writes it."""
        data = text.encode("utf-8", "backslashreplace")
        if len(self._pending) + len(data) > MOST_WAITING:
            self.lost += data.count(b"\n")
        else:
            self._pending += data
        return len(text)

    def flush(self, timeout: float = 0.0) -> None:
        """Write what can be written, waiting at most ``timeout`` seconds for a reader."""
        deadline = time.monotonic() + timeout
        pending = self._pending
        if self._torn and pending:
            pending[:0] = b"\n"
        try:
            while pending and (not self._patient or self._ready(deadline)):
                written = os.write(self._descriptor, self._next())
                self._torn = pending[written - 1 : written] != b"\n"
                del pending[:written]
        except BlockingIOError:
            pass
        except OSError:
            self._pending = bytearray()
            raise
        if pending:
            self._torn = False  # the rest of the line is still to come

    def _next(self) -> bytes | bytearray:
        pending = self._pending
        if not self._patient or len(pending) <= AT_ONCE:
            return pending
        end = pending.rfind(b"\n", 0, AT_ONCE) + 1
        return bytes(pending[: end or AT_ONCE])

    def _ready(self, deadline: float) -> bool:
        timeout = max(0.0, deadline - time.monotonic())
        return bool(select.select([], [self._descriptor], [], timeout)[1])

    def reopen(self) -> None:
        """Nothing: only a file can be moved away."""


class FileStream(DescriptorStream):
    """A file, appended to, which ``reopen`` opens anew after somebody has moved it away.

    Raises ``OSError`` where it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        super().__init__(self._open())

    def _open(self) -> int:
        # O_NONBLOCK: a FIFO that nobody reads is an error rather than a wait.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(self._path, flags, 0o666)

    def reopen(self) -> None:
        """Open the path again, in place: each write finds the old file or the new one."""
        descriptor = self._open()
        try:
            os.dup2(descriptor, self._descriptor, inheritable=False)
            self._patient = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)


def own_end(descriptor: int) -> int:
    """Of a pipe an end of our own, which refuses rather than blocks; else ``descriptor``.

    The flag that says so belongs to all who have the same end of the pipe.
    """
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return descriptor


def terminal_is_gone() -> bool:
    """Whether a standard stream is a terminal that has been closed, which SIGHUP may mean."""
    watch = select.poll()
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                watch.register(descriptor, 0)
    return any(event & select.POLLHUP for _, event in watch.poll(0))
