"""The listening socket of ``--admin-bind``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.metrics_settings import admin_place
from katana_asgi.config.model import Config
from katana_asgi.net.sockets import bind_sockets

if TYPE_CHECKING:
    import socket

__all__ = ["admin_socket"]

OWNER_ONLY: Final = 0o600
"""Mode of a Unix socket: what a service reports is for its own user."""


def admin_socket(config: Config) -> socket.socket:
    """The bound socket; others than the owner cannot connect to a Unix one.

    Raises ``StartupError``.
    """
    place = admin_place(config.admin_bind)
    where: dict[str, Any] = {"uds": place}
    if isinstance(place, tuple):
        where = {"host": place[0], "port": place[1]}
    (sock,) = bind_sockets(Config(**where), 1)
    if isinstance(place, str):
        os.chmod(place, OWNER_ONLY)
    return sock
