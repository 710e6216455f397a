"""Files that settings name, read so that none of them can hold up the process.

A reload reads them in the process that watches the workers: a FIFO that nothing writes to, or a
device that never ends, would be the end of the service.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from typing import Final

__all__ = ["read_file"]

WRITER: Final = 5.0
"""Seconds that the writer of a FIFO gets (``--env-file <(decrypt …)``)."""


def read_file(path: str) -> bytes:
    """The content of a file, or of a FIFO that has a writer.

    Raises ``OSError``, also for a device and for a FIFO that is not written to its end in time,
    and ``ValueError`` for a path with a NUL.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISFIFO(mode):
            return _read_fifo(descriptor)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no file")
        return file.read() or b""


def _read_fifo(descriptor: int) -> bytes:
    content = bytearray()
    end = time.monotonic() + WRITER
    while select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(descriptor, 65536)
        content += part
        if not part:
            if content:
                return bytes(content)
            raise OSError(errno.EPIPE, "nothing writes to this pipe")
    raise TimeoutError(errno.ETIMEDOUT, f"its writer did not end within {WRITER:g} s")
