"""What the process costs: memory, processor time, descriptors, pauses of the collector.

Read once a tick, from where the system tells it without a library.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import Any

__all__ = ["GcPauses", "cpu_seconds", "open_descriptors", "resident_bytes"]


def resident_bytes() -> int:
    """Resident memory; outside Linux the most there ever was, 0 where nobody tells."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    if sys.platform == "win32":
        return 0
    from resource import RUSAGE_SELF, getrusage

    most = getrusage(RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def cpu_seconds() -> float:
    """Processor time of the process, all threads, user and system."""
    return time.process_time()


def open_descriptors() -> int:
    """How many descriptors are open; 0 where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0


class GcPauses:
    """Counts and times the runs of the garbage collector."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._began = 0.0

    def start(self) -> None:
        """Begin to watch."""
        gc.callbacks.append(self._on_run)

    def stop(self) -> None:
        """Watch no more; harmless where it never began."""
        if self._on_run in gc.callbacks:
            gc.callbacks.remove(self._on_run)

    def _on_run(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.count += 1
            self.seconds += time.perf_counter() - self._began
