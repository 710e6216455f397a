"""What a service manager wants to know: messages to the socket in ``NOTIFY_SOCKET``.

The protocol of sd_notify(3): datagrams of ``KEY=value`` lines. Without the variable, and where
no process listens any more, nothing happens: no service depends on it.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Notifier"]

MONOTONIC: Final[int] = getattr(time, "CLOCK_MONOTONIC", 1)


class Notifier:
    """Tells the service manager of one process; ``environment`` is by default the real one.

    ``watchdog`` is the time in seconds between two ``alive`` calls, ``None`` where the manager
    does not watch this process (``WATCHDOG_USEC``, ``WATCHDOG_PID``): half of what it allows.
    """

    __slots__ = ("_address", "_sock", "watchdog")

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = os.environ if environment is None else environment
        address = found.get("NOTIFY_SOCKET", "")
        self._sock: socket.socket | None = None
        if address[:1] in ("/", "@") and hasattr(socket, "AF_UNIX"):
            self._address = f"\0{address[1:]}" if address[0] == "@" else address
            with suppress(OSError):
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                # A manager that does not read must not hold up the service.
                self._sock.setblocking(False)
        self.watchdog = _watchdog(found) if self._sock is not None else None

    def ready(self, status: str) -> None:
        """The service accepts connections: at the start, and again after ``reloading``."""
        self._send("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """Settings or application are read anew; ``ready`` has to follow."""
        now = time.clock_gettime_ns(MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def succeeded_by(self, pid: int) -> None:
        """Process ``pid`` is the service from now on: what others say does not count."""
        self._send(f"MAINPID={pid}")

    def stopping(self, status: str = "Stopping") -> None:
        """The service ends."""
        self._send("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """The service is not stuck."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Tell nothing more; in a child, before it could speak for its parent."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _send(self, *lines: str) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.sendto("\n".join(lines).encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or (pid and pid != str(os.getpid())) or int(usec) == 0:
        return None
    return int(usec) / 2_000_000
