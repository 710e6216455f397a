"""The queue of a listening socket: as long as the setting says, or as another process made it.

A socket that a service manager has opened listens before this process starts, with a backlog of
its own (``Backlog=`` of a unit). Event loops call ``listen`` again with a number of theirs; so
the earlier length is asked of the kernel first and put back afterwards.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Final

from katana_asgi.net.sockets import is_bound_here

__all__ = ["backlog_for"]

TCP_INFO_BACKLOG: Final = 28
"""Where ``struct tcp_info`` of a listening socket has its backlog (``tcpi_sacked``)."""

SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
REQUEST: Final = 1
SHOW_QUEUE: Final = 16
QUEUE: Final = 4
NO_COOKIE: Final = 0xFFFFFFFF
"""Numbers of sock_diag(7)."""

HEADER: Final = 16
"""Bytes of ``struct nlmsghdr``, and of ``struct unix_diag_msg``."""

LISTEN: Final = 1 << 10
"""TCP_LISTEN, as a bit of the states asked for."""


def backlog_for(sock: socket.socket, setting: int) -> int:
    """The backlog that ``sock`` is to have: its own where it was opened elsewhere and listens."""
    option = getattr(socket, "SO_ACCEPTCONN", None)
    if option is None or is_bound_here(sock) or not sock.getsockopt(socket.SOL_SOCKET, option):
        return setting
    with suppress(OSError, struct.error, AttributeError):
        known = _of_unix(sock) if sock.family == socket.AF_UNIX else _of_tcp(sock)
        return known or setting
    return setting


def _of_tcp(sock: socket.socket) -> int:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return int(struct.unpack_from("=I", info, TCP_INFO_BACKLOG)[0])


def _of_unix(sock: socket.socket) -> int:
    inode = os.fstat(sock.fileno()).st_ino & 0xFFFFFFFF
    asked = struct.pack(
        "=BBHIIIII", socket.AF_UNIX, 0, 0, LISTEN, inode, SHOW_QUEUE, NO_COOKIE, NO_COOKIE
    )
    head = struct.pack("=IHHII", HEADER + len(asked), SOCK_DIAG_BY_FAMILY, REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as diag:
        diag.settimeout(1.0)
        diag.send(head + asked)
        answer = diag.recv(8192)
    length, kind = struct.unpack_from("=IH", answer)
    place = 2 * HEADER
    while kind == SOCK_DIAG_BY_FAMILY and place + 4 <= length:
        size, name = struct.unpack_from("=HH", answer, place)
        if name == QUEUE:
            return int(struct.unpack_from("=II", answer, place + 4)[1])
        place += (size + 3) & ~3 or 4
    return 0
