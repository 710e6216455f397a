"""One supervisor after the other on the same sockets (SIGUSR2): katana-asgi itself is replaced.

The old one executes its own command again and passes its sockets and one end of a channel as
descriptors. The new one says ``ready`` when its workers are; the old one then drains.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from katana_asgi.config.env_file import environment_without_file
from katana_asgi.net.redirect_sockets import REDIRECT_VARIABLE
from katana_asgi.supervisor.fork import fork_with_channel
from katana_asgi.supervisor.signals import reset_in_child
from katana_asgi.worker.channel import Channel

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

__all__ = ["Predecessor", "exec_successor"]

VARIABLE: Final = "_KATANA_UPGRADE"
"""Descriptors for the new supervisor: the channel's, and behind a colon those of the sockets.
The first character keeps it apart from the variables of settings."""


class Predecessor:
    """What a supervisor has got from the one before it: sockets, and a word to say."""

    def __init__(self, channel: Channel, sockets: list[socket.socket]) -> None:
        self._channel = channel
        self.sockets = sockets

    @classmethod
    def find(cls) -> Predecessor | None:
        """The predecessor that has started this process, if one has; asked once."""
        unused = os.environ.pop(REDIRECT_VARIABLE, None)
        if unused is not None:  # the settings want no redirects any more: nobody may wait there
            os.close(int(unused))
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        number, _, numbers = text.partition(":")
        sockets = [socket.socket(fileno=int(each)) for each in numbers.split(",")]
        channel = Channel(socket.socket(fileno=int(number)))
        for descriptor in (channel.fileno(), *(sock.fileno() for sock in sockets)):
            os.set_inheritable(descriptor, False)
        return cls(channel, sockets)

    def relieve(self) -> None:
        """Tell the predecessor that it may go."""
        self._channel.send({"type": "ready"})
        self._channel.close()

    def close(self) -> None:
        """Close a forked worker's copy, or the own end of a supervisor that failed to start."""
        self._channel.close()


def exec_successor(
    sockets: Sequence[socket.socket], redirects: Sequence[socket.socket], directory: str
) -> tuple[int, Channel]:
    """Start this program again, in ``directory``, with ``sockets`` and those for ``redirects``.

    Returns the process id and our end of the channel. Raises ``OSError`` where the system has
    no process or descriptor to give.
    """
    return fork_with_channel(
        lambda channel, mask: _become_successor(sockets, redirects, channel, directory, mask)
    )


def _become_successor(
    sockets: Sequence[socket.socket],
    redirects: Sequence[socket.socket],
    channel: Channel,
    directory: str,
    mask: set[signal.Signals],
) -> NoReturn:
    try:
        reset_in_child(mask)
        numbers = [sock.fileno() for sock in sockets]
        for number in (channel.fileno(), *numbers, *(sock.fileno() for sock in redirects)):
            os.set_inheritable(number, True)
        environment = environment_without_file()
        text = f"{channel.fileno()}:{','.join(map(str, numbers))}"
        environment[VARIABLE] = text
        for sock in redirects:
            environment[REDIRECT_VARIABLE] = str(sock.fileno())
        if environment.get("WATCHDOG_PID") == str(os.getppid()):
            environment["WATCHDOG_PID"] = str(os.getpid())  # the service will be this process
        with suppress(OSError):  # it may have gone, and may not be needed
            os.chdir(directory)
        os.execve(  # noqa: S606 - the command this process was started with
            sys.executable, [sys.executable, *sys.orig_argv[1:]], environment
        )
    finally:
        os._exit(1)
