"""The open directory of a mount, exchanged when the directory itself is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from katana_asgi.files.response import OpenFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.files.disk import Disk

__all__ = ["Root"]

TRUSTED_FOR: Final = 1.0
"""Seconds between two checks whether the directory's name leads to another one by now."""


class Root:
    """A descriptor of ``directory``; a deployment may replace that, or the link it is."""

    __slots__ = ("_checked", "_directory", "_disk", "_file", "_identity", "_monotonic")

    def __init__(self, directory: str, disk: Disk, monotonic: Callable[[], float]) -> None:
        self._directory = os.path.abspath(directory)
        self._disk = disk
        self._monotonic = monotonic
        self._file: OpenFile | None = None
        self._identity = (0, 0)
        self._checked = 0.0

    def descriptor(self) -> int:
        """The descriptor to open names beneath. Raises ``OSError``."""
        now = self._monotonic()
        file = self._file
        if file is None or now - self._checked >= TRUSTED_FOR:
            file = self._file = self._current(file)
            self._checked = now
        return file.descriptor

    def _current(self, known: OpenFile | None) -> OpenFile:
        """What the name leads to now; ``known`` where that is the same directory."""
        opened = OpenFile(self._disk, self._disk.open_root(self._directory))
        state = self._disk.stat(opened.descriptor)
        identity = state.st_dev, state.st_ino
        if known is not None and identity == self._identity:
            opened.close()
            return known
        self._identity = identity
        return opened  # the old one closes with its object
