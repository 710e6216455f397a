"""The memory of a worker process, once its application is loaded."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Final

__all__ = ["settle"]

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's ``mallopt``."""

KEPT_FREE: Final = 16 * 1024 * 1024
"""Bytes of free memory that malloc keeps at most, rather than give them back to the system."""

MAPPED: Final = 4 * 1024 * 1024
"""Bytes from which on an object gets a mapping of its own, which goes back at once."""


def settle() -> None:
    """Have the collector leave alone what stays, and malloc keep what is soon used again."""
    # What was imported lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        _keep_free_memory()


def _keep_free_memory() -> None:
    """Large reads and contents would else be mapped, faulted in and unmapped each time."""
    from ctypes import CDLL

    with suppress(OSError, AttributeError):  # another C library than glibc has no mallopt
        mallopt = CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, MAPPED)
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE)
