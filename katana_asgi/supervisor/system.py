"""What a supervisor asks of the operating system: the time, processes, and to wait for events.

Every decision is elsewhere, and can be tried with processes and a clock that do what a test says.
"""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from katana_asgi.supervisor.fork import fork_worker
from katana_asgi.supervisor.signals import SignalWatch
from katana_asgi.supervisor.upgrade import exec_successor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.supervisor.slot import Slot
    from katana_asgi.worker.channel import Channel

__all__ = ["System"]


class System:
    """The real one."""

    def now(self) -> float:
        """Return the seconds of a clock that is never set."""
        return time.monotonic()

    def signals(self) -> SignalWatch:
        """Return what collects the signals of this process, not entered yet."""
        return SignalWatch()

    def selector(self) -> selectors.BaseSelector:
        """Return what waits for descriptors; it has none itself that a fork would share."""
        return selectors.PollSelector()

    def fork(
        self, entry: Entry, config: Config, slot: Slot, start: str, release: Callable[[], None]
    ) -> tuple[int, Channel]:
        """Start a worker; see ``fork_worker``. Raises ``OSError``."""
        return fork_worker(entry, config, slot, start, release)

    def execute(
        self,
        sockets: Sequence[socket.socket],
        redirects: Sequence[socket.socket],
        links: Sequence[int],
        directory: str,
    ) -> tuple[int, Channel]:
        """Start another supervisor; see ``exec_successor``. Raises ``OSError``."""
        return exec_successor(sockets, redirects, links, directory)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process, if it is still there."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def wait(self, pid: int, *, block: bool = False) -> int | None:
        """Return the exit status of a child, negative for a signal; ``None`` while it lives."""
        try:
            pid, status = os.waitpid(pid, 0 if block else os.WNOHANG)
        except ChildProcessError:
            return 1  # other code in this program has waited for it: the status is lost
        return os.waitstatus_to_exitcode(status) if pid else None
