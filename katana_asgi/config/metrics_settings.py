"""The settings of what can be seen of a running server: metrics and the admin listener.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from katana_asgi.config.refusal import NotAllowed
from katana_asgi.config.setting import setting

__all__ = ["MetricsSettings", "admin_place", "is_local"]

LARGEST_PORT: Final = 65535

MAX_ROUTES: Final = 16
"""Against a label for everything: each route is a histogram in each worker."""


def _host_and_port(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise ValueError(value)
    if int(port) > LARGEST_PORT:
        raise ValueError(value)
    return host, int(port)


def check_admin_bind(value: str) -> None:
    """Empty, ``HOST:PORT`` or ``unix:PATH``."""
    if value.startswith("unix:") and len(value) > len("unix:"):
        return
    try:
        if value:
            _host_and_port(value)
    except ValueError:
        raise NotAllowed(value, "HOST:PORT, such as 127.0.0.1:9100, or unix:PATH") from None


def check_statsd(value: str) -> None:
    """Empty, or ``HOST:PORT``."""
    try:
        if value:
            _host_and_port(value)
    except ValueError:
        raise NotAllowed(value, "HOST:PORT, such as 127.0.0.1:8125") from None


def check_route(member: str) -> None:
    """A path; one that ends in ``*`` stands for all that begin with it."""
    if not member.startswith("/"):
        raise NotAllowed(member, "paths that start with a slash, such as /api/*")


def check_token(value: str) -> None:
    """Empty, or what an Authorization field can carry (RFC 6750 §2.1)."""
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        raise NotAllowed("the token", "ASCII characters without spaces")


def admin_place(value: str) -> tuple[str, int] | str:
    """Where ``--admin-bind`` points to: host and port, or the path of a Unix socket."""
    return value.removeprefix("unix:") if value.startswith("unix:") else _host_and_port(value)


def is_local(value: str) -> bool:
    """Whether only this machine can reach what ``--admin-bind`` names."""
    place = admin_place(value)
    if isinstance(place, str) or place[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(place[0]).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class MetricsSettings:
    """Metrics and the admin listener."""

    theme = "Metrics and the admin listener"

    admin_bind: str = setting(
        "",
        "text",
        "Address of the admin listener, which serves /metrics, /status, /healthz and /readyz: "
        "HOST:PORT or unix:PATH. Off when empty.",
        metavar="ADDRESS",
        check=check_admin_bind,
    )
    admin_token: str = setting(
        "",
        "text",
        "Token the admin listener requires (Authorization: Bearer), except for /healthz and "
        "/readyz. Required unless it listens on loopback or a Unix socket.",
        metavar="TOKEN",
        check=check_token,
    )
    metrics_routes: tuple[str, ...] = setting(
        (),
        "list",
        "Paths with their own duration metrics; /api/* covers every path that starts with /api/.",
        check=check_route,
    )
    statsd: str = setting(
        "",
        "text",
        "StatsD server to push metrics to over UDP, HOST:PORT. Off when empty.",
        metavar="HOST:PORT",
        check=check_statsd,
    )
