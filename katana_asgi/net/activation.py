"""Descriptors that a service manager has opened before the start (sd_listen_fds(3)).

They begin at 3; ``LISTEN_FDS`` says how many there are, ``LISTEN_PID`` for whom, and
``LISTEN_FDNAMES`` what the units call them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["activated_descriptors"]

FIRST: Final = 3


def activated_descriptors(name: str, environment: Mapping[str, str] | None = None) -> list[int]:
    """The descriptors called ``name``, or with an empty name all of them.

    Raises ``StartupError`` where there are none for this process.
    """
    found = os.environ if environment is None else environment
    pid, count = found.get("LISTEN_PID", ""), found.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal():
        raise StartupError(
            "cannot listen on systemd: this process was given no sockets (LISTEN_FDS, LISTEN_PID)"
        )
    descriptors = list(range(FIRST, FIRST + int(count)))
    names = found.get("LISTEN_FDNAMES", "").split(":")
    if name:
        named = zip(descriptors, names, strict=False)
        descriptors = [descriptor for descriptor, called in named if called == name]
    if not descriptors:
        known = ", ".join(filter(None, names)) or "none"
        place = f"systemd:{name}" if name else "systemd"
        raise StartupError(f"cannot listen on {place}: no socket has that name ({known})")
    return descriptors
