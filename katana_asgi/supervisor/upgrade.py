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

from katana_asgi.balance.links import FORMAT
from katana_asgi.config.env_file import environment_without_file
from katana_asgi.net.redirect_sockets import REDIRECT_VARIABLE
from katana_asgi.supervisor.fork import fork_with_channel
from katana_asgi.supervisor.identity import SUCCESSOR_VARIABLE
from katana_asgi.supervisor.signals import reset_in_child
from katana_asgi.worker.channel import Channel

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

__all__ = ["Predecessor", "close_all", "exec_successor"]


LINKS_VARIABLE: Final = "_KATANA_LINKS"
"""The format of what workers balance with, and behind a colon its descriptors."""


class Predecessor:
    """What a supervisor has got from the one before it: sockets, and a word to say.

    ``links`` are the descriptors of what its workers balance with, if they do.
    """

    def __init__(self, channel: Channel, sockets: list[socket.socket], links: list[int]) -> None:
        self._channel = channel
        self.sockets = sockets
        self.links = links

    @classmethod
    def find(cls) -> Predecessor | None:
        """The predecessor that has started this process, if one has; asked once."""
        unused = os.environ.pop(REDIRECT_VARIABLE, None)
        if unused is not None:  # the settings want no redirects any more: nobody may wait there
            os.close(int(unused))
        links = _inherited_links()
        text = os.environ.pop(SUCCESSOR_VARIABLE, None)
        if text is None:
            return None
        number, _, numbers = text.partition(":")
        sockets = [socket.socket(fileno=int(each)) for each in numbers.split(",")]
        channel = Channel(socket.socket(fileno=int(number)))
        for descriptor in (channel.fileno(), *(sock.fileno() for sock in sockets)):
            os.set_inheritable(descriptor, False)
        return cls(channel, sockets, links)

    def relieve(self) -> None:
        """Tell the predecessor that it may go."""
        self._channel.send({"type": "ready"})
        self._channel.close()

    def close(self) -> None:
        """Close a forked worker's copy, or the own end of a supervisor that failed to start."""
        self._channel.close()


def _inherited_links() -> list[int]:
    """Descriptors of what the predecessor's workers balance with, where we understand it."""
    number, _, numbers = os.environ.pop(LINKS_VARIABLE, "").partition(":")
    descriptors = [int(each) for each in numbers.split(",") if each]
    for each in descriptors:
        os.set_inheritable(each, False)
    if number == str(FORMAT):
        return descriptors
    close_all(descriptors)
    return []


def close_all(descriptors: Sequence[int]) -> None:
    """Close inherited descriptors that there is no use for."""
    for each in descriptors:
        os.close(each)


def exec_successor(
    sockets: Sequence[socket.socket],
    redirects: Sequence[socket.socket],
    links: Sequence[int],
    directory: str,
) -> tuple[int, Channel]:
    """Start this program again, in ``directory``, with ``sockets`` and those for ``redirects``.

    ``links`` are descriptors of what the workers balance with.

    Returns the process id and our end of the channel. Raises ``OSError`` where the system has
    no process or descriptor to give.
    """
    return fork_with_channel(
        lambda channel, mask: _become_successor(sockets, redirects, links, channel, directory, mask)
    )


def _become_successor(
    sockets: Sequence[socket.socket],
    redirects: Sequence[socket.socket],
    links: Sequence[int],
    channel: Channel,
    directory: str,
    mask: set[signal.Signals],
) -> NoReturn:
    try:
        reset_in_child(mask)
        numbers = [sock.fileno() for sock in sockets]
        others = [sock.fileno() for sock in redirects]
        for number in (channel.fileno(), *numbers, *others, *links):
            os.set_inheritable(number, True)
        environment = environment_without_file()
        text = f"{channel.fileno()}:{','.join(map(str, numbers))}"
        environment[SUCCESSOR_VARIABLE] = text
        if links:
            environment[LINKS_VARIABLE] = f"{FORMAT}:{','.join(map(str, links))}"
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
