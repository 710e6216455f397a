"""Which files have changed: told by watchfiles, or found by looking at their times.

Polling needs no library, and works below directories that cannot be read.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["changed_files", "counts", "polled"]

DEBOUNCE: Final = 400
"""Milliseconds in which changes are gathered into one group."""

PAUSE: Final = 0.05
"""Seconds between two questions whether to end."""

logger = logging.getLogger("katana_asgi.error")


class Stop(Protocol):
    """What ends a watch."""

    def is_set(self) -> bool:
        """Whether to end."""


def changed_files(
    roots: Sequence[Path], include: Sequence[str], exclude: Sequence[str], delay: float, stop: Stop
) -> Iterator[set[str]]:
    """Each group of files below ``roots`` that changed, until ``stop`` is set.

    ``delay`` is the time between two polls, where files have to be polled.
    """

    def matters(_change: object, name: str) -> bool:
        return counts(Path(name), roots, include, exclude)

    try:
        from watchfiles import watch
    except ImportError:
        logger.info("watchfiles is not installed: files are polled every %g s", delay)
    else:
        try:
            for group in watch(*roots, watch_filter=matters, stop_event=stop, debounce=DEBOUNCE):
                yield {name for _, name in group}
        except OSError as error:
            logger.info("Files cannot be watched (%s): they are polled every %g s", error, delay)
        else:
            return
    yield from polled(roots, lambda name: matters(None, name), delay, stop)


def polled(
    roots: Sequence[Path], matters: Callable[[str], bool], delay: float, stop: Stop
) -> Iterator[set[str]]:
    """The same by comparing the times of files every ``delay`` seconds."""
    before = _times(roots, matters)
    due = time.monotonic() + delay
    while not stop.is_set():
        time.sleep(min(PAUSE, delay))
        if time.monotonic() < due:
            continue
        now = _times(roots, matters)
        changed = {name for name, _ in now.items() ^ before.items()}
        before = now
        due = time.monotonic() + delay
        if changed:
            yield changed


def _times(roots: Sequence[Path], matters: Callable[[str], bool]) -> dict[str, int]:
    found = {}
    for root in roots:
        for directory, _, names in os.walk(root):  # passes over what cannot be read
            for name in names:
                path = os.path.join(directory, name)
                if matters(path):
                    with suppress(OSError):  # gone meanwhile
                        found[path] = os.stat(path).st_mtime_ns
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
