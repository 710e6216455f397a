"""Listening sockets that were bound before: by another process, or for another slot."""

from __future__ import annotations

import os
import socket

from katana_asgi.net.sockets import _BOUND, KERNEL_BALANCES, _bind, _identity

__all__ = ["bind_beside", "in_slots", "own_unix_file"]


def bind_beside(sock: socket.socket) -> socket.socket:
    """A socket for one slot more at the address of ``sock``: of its own, or ``sock`` itself.

    Raises ``OSError``.
    """
    if (
        not KERNEL_BALANCES
        or sock.family not in (socket.AF_INET, socket.AF_INET6)
        or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    ):
        return sock
    address = sock.getsockname()
    return _bind(sock.family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def own_unix_file(sock: socket.socket) -> None:
    """Have the file of an inherited Unix socket removed at the end, as if it were bound here."""
    if hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX:
        path = os.fsdecode(sock.getsockname())
        if path and not path.startswith("\0") and os.path.exists(path):
            path = os.path.abspath(path)
            _BOUND[sock] = path, _identity(path)


def in_slots(sockets: list[socket.socket]) -> list[list[socket.socket]]:
    """One row for each slot: a socket of every address that ``sockets`` are bound to.

    An address with a single socket has it in every row, as when it was bound.
    """
    columns: dict[object, list[socket.socket]] = {}
    for sock in sockets:
        columns.setdefault((sock.family, sock.getsockname()), []).append(sock)
    count = max(map(len, columns.values()))
    return [[found[min(row, len(found) - 1)] for found in columns.values()] for row in range(count)]
