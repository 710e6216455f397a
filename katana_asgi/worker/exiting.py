"""The end of a process whose service has ended: exit functions and children have a short time.

Python waits without end for threads, exit functions and child processes of the application, and
no signal is listened to any more. A supervisor, a service manager and a person wait with it.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Final

__all__ = ["bound_the_exit", "flush_standard_streams", "run_exit_functions"]

CHILDREN_GRACE: Final = 0.5
"""Seconds that processes of ``multiprocessing`` get to end by themselves, before SIGTERM."""

EXIT_GRACE: Final = 2.0
"""Seconds that threads and exit functions of the application get once the service has ended."""

logger = logging.getLogger("katana_asgi.error")


def bound_the_exit(status: int) -> None:
    """Have the process end with ``status`` within ``EXIT_GRACE``, whatever does not end."""

    def end() -> None:
        time.sleep(CHILDREN_GRACE)
        with suppress(Exception):
            _end_children()
        time.sleep(EXIT_GRACE - CHILDREN_GRACE)
        flush_standard_streams()
        os._exit(status & 0xFF)

    with suppress(RuntimeError):  # the system has no thread to give
        threading.Thread(target=end, daemon=True).start()


def _end_children() -> None:
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import active_children

    # Daemonic ones are ended by multiprocessing, and those of a pool would leave its lock taken.
    children = [child for child in active_children() if not child.daemon]
    if children:
        logger.warning("Ending %d processes of the application that outlive it", len(children))
    for child in children:
        with suppress(Exception):
            child.terminate()


def run_exit_functions() -> None:
    """What a process that ends by ``os._exit`` would leave out.

    Idle process pools end first: nothing else tells their processes, for which
    ``multiprocessing`` then waits.
    """
    pools = sys.modules.get("concurrent.futures.process")
    with suppress(Exception):
        if pools is not None:
            pools._python_exit()
    atexit._run_exitfuncs()


def flush_standard_streams() -> None:
    """Write what was printed; a program without a console has no streams."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
