"""The settings of the service around the protocols: application, processes, routes, logs.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from katana_asgi.config.checks import (
    check_application,
    check_directory,
    check_file_route,
    check_forwarded_field,
    check_host,
    check_proxy,
    check_readable,
    check_root_path,
)
from katana_asgi.config.setting import setting
from katana_asgi.config.static_route import StaticRoute

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication

__all__ = [
    "ApplicationSettings",
    "LogSettings",
    "ProcessSettings",
    "ProxySettings",
    "RouteSettings",
    "SocketSettings",
]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ApplicationSettings:
    """Application."""

    theme = "Application"

    app: str | ASGIApplication = setting(  # noqa: RUF009 - it makes a dataclass field
        "",
        "application",
        "The application: MODULE:ATTRIBUTE, or MODULE:FUNCTION with --factory.",
        check=check_application,
    )
    factory: bool = setting(False, "boolean", "Call the attribute to create the application.")
    app_dir: str = setting(
        "",
        "path",
        "Directory to put first on the import path; the current directory by default.",
        metavar="DIR",
        check=check_directory,
    )
    interface: str = setting(
        "auto",
        "choice",
        "Interface of the application; auto distinguishes asgi2 from asgi3, wsgi needs the wsgi "
        "extra.",
        choices=("auto", "asgi3", "asgi2", "wsgi"),
    )
    lifespan: str = setting(
        "auto",
        "choice",
        "Lifespan protocol; auto continues without it if the application does not support it.",
        choices=("auto", "on", "off"),
    )
    root_path: str = setting(
        "", "text", "Path prefix under which a proxy mounts the application.", check=check_root_path
    )
    reset_contextvars: bool = setting(
        False,
        "boolean",
        "Run each request in an empty context, without variables set during lifespan startup.",
    )
    env_file: str | None = setting(
        None,
        "path",
        "File of environment variables to load; needs the env extra.",
        metavar="FILE",
        check=check_readable,
    )

    @property
    def application_name(self) -> str:
        """How the application is named to people: ``main:app``, or what the object is called."""
        if isinstance(self.app, str):
            return self.app
        name = getattr(self.app, "__qualname__", None) or type(self.app).__qualname__
        return f"{getattr(self.app, '__module__', None) or '?'}:{name}"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class SocketSettings:
    """Sockets."""

    theme = "Sockets"

    host: str = setting(
        "127.0.0.1",
        "text",
        "Address or host name to listen on; empty means all interfaces.",
        check=check_host,
    )
    port: int = setting(
        8000, "integer", "Port to listen on; 0 picks a free one.", minimum=0, maximum=65535
    )
    uds: str | None = setting(
        None, "path", "Listen on this Unix socket instead of host and port.", metavar="PATH"
    )
    fd: int | None = setting(
        None, "integer", "Listen on this inherited file descriptor instead.", minimum=0
    )
    backlog: int = setting(
        2048, "integer", "Connections the kernel may queue before they are accepted.", minimum=1
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ProcessSettings:
    """Processes."""

    theme = "Processes"

    workers: int = setting(
        1,
        "processes",
        "Number of worker processes, each with its own event loop and listening socket; auto is "
        "one for each processor that cpuset and cgroup quota leave.",
        minimum=1,
        maximum=1024,
        aliases=("-w",),
        environment=("WEB_CONCURRENCY",),
    )
    loop: str = setting(
        "auto",
        "loop",
        "Event loop; auto uses uvloop if it is installed. MODULE:FACTORY is a custom one.",
        choices=("auto", "uvloop", "asyncio"),
    )
    balance: str = setting(
        "off",
        "choice",
        "Even load over workers: auto passes new connections on to workers that have clearly less "
        "to do, and idle ones before a worker is replaced.",
        choices=("auto", "off"),
    )
    timeout_startup: float = setting(
        0.0,
        "duration",
        "Time a worker may take to import the application and complete startup; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    timeout_graceful_shutdown: float = setting(
        30.0,
        "duration",
        "Time running requests may take on shutdown before they are cancelled.",
        minimum=0,
    )
    limit_max_requests: int = setting(
        0,
        "integer",
        "Replace a worker after this many requests; a single worker exits. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_max_requests_jitter: int = setting(
        0,
        "integer",
        "Add up to this many requests to limit-max-requests, at random for each worker; 0 uses "
        "recycle-jitter.",
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class RouteSettings:
    """Static routes."""

    theme = "Static routes"

    static_route: tuple[StaticRoute, ...] = setting(
        (),
        "route",
        "Respond to PATH with BODY from cached bytes, without the application; repeatable. In a "
        "file, use a table [static-routes].",
        keys=("static-routes",),
        metavar="PATH=BODY",
    )
    static_file_route: tuple[tuple[str, str], ...] = setting(
        (),
        "file-route",
        "Respond to PATH with the content of FILE, read at startup; repeatable.",
        metavar="PATH=FILE",
        check=check_file_route,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ProxySettings:
    """Proxies."""

    theme = "Proxies"

    proxy_headers: bool = setting(
        True,
        "boolean",
        "Use the client address and scheme, and what else forwarded-fields names, from "
        "X-Forwarded-* and Forwarded headers of trusted proxies.",
    )
    forwarded_allow_ips: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        "list",
        "Trusted proxies: addresses, networks (10.0.0.0/8), unix for Unix sockets, or *.",
        environment=("FORWARDED_ALLOW_IPS",),
        check=check_proxy,
    )
    forwarded_fields: tuple[str, ...] = setting(
        ("for", "proto"),
        "list",
        "Headers of a trusted proxy that are used: for, proto, host, port and prefix "
        "(X-Forwarded-*), forwarded (RFC 7239), all or none. Name only those that the proxy "
        "sets or removes.",
        check=check_forwarded_field,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class LogSettings:
    """Logging."""

    theme = "Logging"

    log_level: str = setting(
        "info",
        "choice",
        "Log level of the server; above info, requests are not logged either, unless the access "
        "log has a file or a format of its own.",
        choices=("critical", "error", "warning", "info", "debug", "trace"),
    )
    access_log: bool = setting(True, "boolean", "Log each request.")
    use_colors: bool | None = setting(
        None, "boolean", "Colour log output; by default only on a terminal."
    )
