"""Which files have changed: reported by watchfiles, or found by comparing them again and again.

Polling needs no library, and works where a directory belongs to another user or the system has
no watches left.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["changed_files", "counts", "file_states"]

DEBOUNCE: Final = 400
"""Milliseconds in which changes are gathered into one group."""

logger = logging.getLogger("katana_asgi.error")


class Stop(Protocol):
    """What ends a watch; ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Whether to end."""

    def wait(self, timeout: float) -> object:
        """Wait for ``timeout`` seconds, or until it may be set."""


def changed_files(
    roots: Sequence[Path], include: Sequence[str], exclude: Sequence[str], delay: float, stop: Stop
) -> Iterator[set[str]]:
    """Each group of files below ``roots`` that changed, until ``stop`` is set.

    ``delay`` is the time between two rounds, where files have to be polled.
    """

    def matters(path: Path) -> bool:
        return counts(path, roots, include, exclude)

    try:
        yield from _reported(roots, matters, stop)
    except Exception as error:  # noqa: BLE001 - of a library; the developer goes on working
        missing = isinstance(error, ImportError)
        reason = "watchfiles is not installed (extra reload)" if missing else error
        logger.info("Files are polled every %g s: %s", delay, reason)
        yield from _polled(roots, exclude, matters, delay, stop)


def _reported(
    roots: Sequence[Path], matters: Callable[[Path], bool], stop: Stop
) -> Iterator[set[str]]:
    """Groups of files that the system says have changed."""
    from watchfiles import watch

    def wanted(_change: object, name: str) -> bool:
        return matters(Path(name))

    for group in watch(*roots, watch_filter=wanted, stop_event=stop, debounce=DEBOUNCE):
        yield {name for _, name in group}


def _polled(
    roots: Sequence[Path],
    exclude: Sequence[str],
    matters: Callable[[Path], bool],
    delay: float,
    stop: Stop,
) -> Iterator[set[str]]:
    """Groups of files that are not as they were in the round before."""
    before = file_states(roots, exclude, matters)
    while not stop.is_set():
        stop.wait(delay)
        now = file_states(roots, exclude, matters)
        changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
        before = now
        if changed:
            yield changed


def file_states(
    roots: Sequence[Path], exclude: Sequence[str], matters: Callable[[Path], bool]
) -> dict[str, tuple[int, int, int]]:
    """What changes with each file that matters; directories that cannot be read have none."""
    found = {}
    waiting = list(roots)
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                listed = list(entries)
        except OSError:
            continue
        for entry in listed:
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not any(path.match(pattern) for pattern in exclude):
                        waiting.append(path)
                elif matters(path):
                    status = entry.stat()
                    found[entry.path] = status.st_ino, status.st_size, status.st_mtime_ns
            except OSError:  # removed meanwhile
                continue
    return found


def counts(
    path: Path, roots: Sequence[Path], include: Sequence[str], exclude: Sequence[str]
) -> bool:
    """Whether a change of ``path`` is a reason to reload.

    Its name must match a pattern of ``include``; neither it nor a directory above it, below the
    root it lies in, may match one of ``exclude``.
    """
    if not any(path.match(pattern) for pattern in include):
        return False
    for root in roots:
        if path.is_relative_to(root):
            parts = (path, *(up for up in path.parents if up != root and up.is_relative_to(root)))
            if not any(part.match(pattern) for part in parts for pattern in exclude):
                return True
    return False
