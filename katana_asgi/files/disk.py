"""The room's one door to the file system: opening beneath a directory, and reading.

A name never leaves its root. Where the kernel has ``openat2`` it enforces that
(RESOLVE_BENEATH); elsewhere each component is opened relative to the one before it, without
following links, and links are walked by hand. Names are never compared as text: between a
comparison and an open, a link can be exchanged.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from typing import Final, Literal, TypeAlias

__all__ = ["READ_ONLY", "Disk", "Symlinks"]

Symlinks: TypeAlias = Literal["never", "inside", "anywhere"]

READ_ONLY: Final = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
)  # a FIFO must not make the loop wait for its writer
_PATH_ONLY: Final = getattr(os, "O_PATH", os.O_RDONLY)  # search permission suffices on Linux
_STEP: Final = _PATH_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_OPENAT2: Final = 437  # the same number on all architectures
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08

_MOST_LINKS: Final = 40
"""Links followed for one name, as in the kernel; more are a loop."""

_MOST_TRIES: Final = 8
"""Tries of an openat2 that was disturbed by a rename (openat2(2), EAGAIN)."""

_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Disk:
    """Opens and reads files; the fault tests replace single methods."""

    def __init__(self) -> None:
        self.syscall = None
        if sys.platform == "linux":
            self.syscall = ctypes.CDLL(None, use_errno=True).syscall
            self.syscall.restype = ctypes.c_long
        self._how = {
            "never": _OpenHow(READ_ONLY, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS),
            "inside": _OpenHow(READ_ONLY, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS),
        }

    def open_root(self, directory: str | bytes) -> int:
        """A descriptor of the directory that names are opened beneath."""
        return os.open(directory, _PATH_ONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, root: int, segments: list[bytes], symlinks: Symlinks) -> int:
        """Open what lies at ``segments`` beneath ``root``, for reading; no segments are root.

        Raises ``OSError``; where a link leads out of the root, with EXDEV or ELOOP.
        """
        name = b"/".join(segments) or b"."
        if symlinks == "anywhere":
            return os.open(name, READ_ONLY, dir_fd=root)
        if self.syscall is not None:
            for _ in range(_MOST_TRIES):
                how = self._how[symlinks]
                opened: int = self.syscall(
                    _OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how)
                )
                if opened >= 0:
                    return opened
                error = ctypes.get_errno()
                if error in (errno.ENOSYS, errno.EPERM):  # an old kernel, a seccomp filter
                    self.syscall = None
                    break
                if error != errno.EAGAIN:
                    raise OSError(error, os.strerror(error))
        return self._walk(root, segments, symlinks)

    def stat(self, opened: int) -> os.stat_result:
        """The state of what was opened."""
        return os.fstat(opened)

    def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
        """Up to ``size`` bytes that the page cache has; ``None`` where it has not all of them.

        Where the system has no such call, this waits for the disk.
        """
        if not _NOWAIT:
            return os.pread(opened, size, offset)
        buffer = bytearray(size)
        try:
            count = os.preadv(opened, [buffer], offset, _NOWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS):
                return None
            raise
        # Less than asked for is the end of the file, or the end of what is in the cache.
        return bytes(buffer) if count == size else None

    def is_cold(self, opened: int, offset: int) -> bool:
        """Whether reading this byte would wait for the disk; false where that cannot be known."""
        if not _NOWAIT:
            return False
        try:
            os.preadv(opened, [bytearray(1)], offset, _NOWAIT)
        except OSError as error:
            return error.errno == errno.EAGAIN
        return False

    def read(self, opened: int, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes; nothing at the end of the file. Waits for the disk."""
        return os.pread(opened, size, offset)

    def names(self, opened: int) -> list[tuple[str, bool]]:
        """The entries of an open directory, each with whether it is one itself."""
        with os.scandir(opened) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries]

    def close(self, opened: int) -> None:
        """Close a descriptor."""
        os.close(opened)

    def _walk(self, root: int, segments: list[bytes], symlinks: Symlinks) -> int:
        """What openat2 does, one component at a time; the way back up is remembered."""
        way = [root]
        left = list(reversed(segments))
        links = 0
        try:
            while left:
                segment = left.pop()
                if segment in (b"", b"."):
                    continue
                if segment == b"..":  # only links bring this
                    if len(way) == 1:
                        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                    os.close(way.pop())
                    continue
                try:
                    flags = _STEP if left else READ_ONLY | os.O_NOFOLLOW
                    opened = os.open(segment, flags, dir_fd=way[-1])
                except OSError as error:
                    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                        raise
                    target = _link_target(segment, way[-1], error)
                    links += 1
                    if symlinks == "never" or links > _MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                    if target.startswith(b"/"):
                        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV)) from None
                    left += reversed(target.split(b"/"))
                    continue
                if not left:
                    return opened
                way.append(opened)
            return os.open(b".", READ_ONLY, dir_fd=way[-1])
        finally:
            for step in way[1:]:
                os.close(step)


def _link_target(name: bytes, directory: int, error: OSError) -> bytes:
    """Where a link leads; raises ``error`` where there is none."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        raise error from None


def is_regular(state: os.stat_result) -> bool:
    """Whether this is a file that can be sent."""
    return stat.S_ISREG(state.st_mode)
