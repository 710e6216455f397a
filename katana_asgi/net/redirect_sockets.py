"""The listening socket of ``--redirect-bind``: one for all workers, and for the next supervisor.

Bound before the workers are forked; a supervisor that replaces this one finds it by a variable.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from katana_asgi.config.tls_checks import split_bind
from katana_asgi.net.sockets import adopt, bind_sockets, describe

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from katana_asgi.config.model import Config

__all__ = ["REDIRECT_VARIABLE", "redirect_socket", "redirects_shared", "redirects_to_hand_on"]

REDIRECT_VARIABLE: Final = "_KATANA_REDIRECT"
"""The descriptor of the socket, for a new supervisor."""

_shared: Final[list[socket.socket]] = []


@contextmanager
def redirects_shared(config: Config) -> Iterator[str]:
    """Have the socket ready for those that are forked inside the block; gives its address.

    Raises ``StartupError`` where the address cannot be bound.
    """
    handed_on = os.environ.pop(REDIRECT_VARIABLE, None)
    sock = adopt(int(handed_on)) if handed_on is not None else _bind(config)
    _shared.append(sock)
    try:
        yield describe(sock)
    finally:
        _shared.remove(sock)
        sock.close()


def redirects_to_hand_on() -> list[socket.socket]:
    """What the next supervisor has to get: the socket, if there is one."""
    return _shared.copy()


def redirect_socket(config: Config) -> socket.socket:
    """The socket of ``redirect_bind``, bound. Raises ``StartupError``."""
    return _shared[0] if _shared else _bind(config)


def _bind(config: Config) -> socket.socket:
    host, port = split_bind(config.redirect_bind)
    return bind_sockets(config.replace(host=host, port=port, uds=None, fd=None, bind=()), 1)[0]
