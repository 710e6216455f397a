"""The directory in which the paths of settings begin, known by its name rather than by its inode.

It is the one that ``chdir`` names, or else the one the service was started in. A deployment
that turns a symbolic link (``current -> releases/2``) is found by the name and by nothing else.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["absolute", "current_directory", "in_directory"]


def current_directory() -> str:
    """The current directory as the shell that started us named it (``PWD``), links included.

    Empty where it does not exist any more.
    """
    named = os.environ.get("PWD", "")
    with suppress(OSError):
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    with suppress(OSError):
        return os.getcwd()
    return ""


def absolute(path: str) -> str:
    """``path`` from the root, links included; empty stays empty."""
    return os.path.join(current_directory(), path) if path else path


@contextmanager
def in_directory(path: str) -> Iterator[None]:
    """Within the block, be in the directory ``path``, where it can be entered.

    Whether it can is for others to check: a path below it cannot be used either.
    """
    before = -1
    try:
        if path and not os.path.samestat(os.stat(path), os.stat(".")):
            before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
            os.chdir(path)
    except OSError:
        pass
    try:
        yield
    finally:
        if before >= 0:
            with suppress(OSError):
                os.fchdir(before)
            os.close(before)
