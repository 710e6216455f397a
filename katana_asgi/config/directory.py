"""The directory in which the paths of settings begin, known by its name rather than by its inode.

It is the one that ``chdir`` names, or else the one the service was started in. A deployment
that turns a symbolic link (``current -> releases/2``) is found by the name and by nothing else.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["absolute", "current_directory", "forget_modules", "in_directory"]


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


def forget_modules(directory: str, kept: Collection[str] = ()) -> None:
    """Have the modules in ``directory`` imported anew by whoever imports them next.

    Those named in ``kept`` stay, and so do installed packages, which may lie below it. For a
    process that forks: its workers must not start with code that has changed since.
    """
    below = os.path.join(os.path.realpath(directory or "."), "")
    installed = tuple(
        os.path.join(os.path.realpath(each), "")
        for each in (sys.prefix, sysconfig.get_path("purelib"))
    )
    for name, module in list(sys.modules.items()):
        place = os.path.realpath(getattr(module, "__file__", None) or os.devnull)
        theirs = place.startswith(below) and not place.startswith(installed)
        if theirs and name not in kept and name != "__main__":
            del sys.modules[name]


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
