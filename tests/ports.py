"""Ports for programs that cannot be asked for one: those that are told where to listen."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

__all__ = ["free_port"]

RANGE = range(12000, 30000)
"""Below those that the kernel gives to whoever asks for any."""

CHOICE = random.Random()  # not the module's, which starts anew with each test


def free_port() -> int:
    """A TCP port of 127.0.0.1 that no process of any run of the tests gets while this one lives.

    The UDP port of the same number, bound and kept, says that it is taken.
    """
    while True:
        port = CHOICE.choice(RANGE)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with suppress(OSError), socket.socket() as sock:
            claim.bind(("127.0.0.1", port))
            sock.bind(("127.0.0.1", port))
            claim.detach()  # open until this process ends
            return port
        claim.close()
