"""How a descriptor gets from one worker to another: a socket pair for each slot.

The supervisor keeps both ends over all generations of workers, so what is under way when a
worker dies is taken by its successor. One message is one connection: a few bytes that say what
it is, and its descriptor (SCM_RIGHTS). No call blocks; a channel that is full takes nothing.
"""

from __future__ import annotations

import array
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from katana_asgi.balance.table import LoadTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from katana_asgi.balance.table import Row

__all__ = ["FORMAT", "MESSAGE_LIMIT", "Links", "Share", "pass_on", "receive"]

SPARE: Final = 4
"""Pairs for workers that are added later (SIGTTIN): those that run then know these already."""

MESSAGE_LIMIT: Final = 8192
"""Bytes of a message at most, against facts of a connection that would fill the channel."""

FORMAT: Final = 1
"""Of rows and messages. A new program (SIGUSR2) that has another one begins anew."""

_DESCRIPTOR: Final = array.array("i").itemsize


class Share(NamedTuple):
    """What a worker gets of it.

    ``number`` is its slot. ``inbox`` is where connections come to it, ``outboxes`` how to reach
    every slot, its own included, and ``rows`` what is known of them, in the same order.
    ``neighbours`` are the listening sockets of other slots, by their numbers.
    """

    number: int
    inbox: socket.socket
    outboxes: Sequence[socket.socket]
    rows: Sequence[Row]
    neighbours: Mapping[int, Sequence[socket.socket]]


class Links:
    """The supervisor's side: the table and the pairs of all slots.

    ``inherited`` are the ``descriptors`` of a former supervisor: its workers are reached, too.
    Raises ``OSError``, and ``AttributeError`` where the system lacks what it needs.
    """

    def __init__(self, count: int, inherited: Sequence[int] = ()) -> None:
        self._table = LoadTable(*inherited[:1])
        ends = [socket.socket(fileno=each) for each in inherited[1:]]
        self._pairs = list(zip(ends[::2], ends[1::2], strict=True))
        self._reserve(count + SPARE)

    @property
    def descriptors(self) -> list[int]:
        """Those of the table and of all pairs."""
        ends = [end.fileno() for pair in self._pairs for end in pair]
        return [self._table.descriptor, *ends]

    def _reserve(self, count: int) -> None:
        while len(self._pairs) < count:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for sock in pair:
                sock.setblocking(False)
            self._pairs.append(pair)

    def share(self, number: int, neighbours: Mapping[int, Sequence[socket.socket]]) -> Share:
        """What the next worker of slot ``number`` gets. Raises ``OSError`` and ``IndexError``."""
        self._reserve(number)
        rows = [self._table.row(each) for each in range(1, len(self._pairs) + 1)]
        outboxes = [there for _, there in self._pairs]
        return Share(number, self._pairs[number - 1][0], outboxes, rows, neighbours)

    def close_but(self, share: Share | None) -> None:
        """Close, in a child, what does not belong to its ``share``."""
        self._table.close()
        for here, there in self._pairs:
            if share is None or here is not share.inbox:
                here.close()
            if share is None:
                there.close()

    def close(self) -> None:
        """Close all of it."""
        self.close_but(None)


def pass_on(outbox: socket.socket, message: bytes, descriptor: int) -> bool:
    """Send a connection; whether the channel has taken it. The caller still has it open."""
    rights = array.array("i", [descriptor])
    try:
        outbox.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except OSError:  # full, closed, or too many descriptors are under way
        return False
    return True


def receive(inbox: socket.socket) -> tuple[bytes, socket.socket | None] | None:
    """The next connection that has come; ``None`` where there is none.

    The connection is ``None`` where this process had no descriptor for it: the kernel has closed
    it then.
    """
    try:
        data, ancillary, flags, _ = inbox.recvmsg(
            MESSAGE_LIMIT, socket.CMSG_SPACE(_DESCRIPTOR), socket.MSG_CMSG_CLOEXEC
        )
    except OSError:  # nothing there, or the inbox is closed
        return None
    sock = _socket_of(ancillary)
    if sock is not None and flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        sock.close()
        sock = None
    return data, sock


def _socket_of(ancillary: list[tuple[int, int, bytes]]) -> socket.socket | None:
    numbers: Any = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % _DESCRIPTOR])
    for number in numbers:
        with suppress(OSError):
            sock = socket.socket(fileno=number)
            sock.setblocking(False)
            return sock
    return None
