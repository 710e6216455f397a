"""Every setting of the server, once: name, type, default, help and spelling.

Flags, environment variables, file keys, ``--print-config`` and the settings reference
are derived from the fields below (``SETTINGS`` lists them); a table, not a program.
A field's name is its spelling: ``timeout_keep_alive`` is ``--timeout-keep-alive``,
``KATANA_TIMEOUT_KEEP_ALIVE`` and the file key ``timeout-keep-alive``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from katana_asgi.config.checks import (
    check_application,
    check_directory,
    check_field,
    check_file_route,
    check_origin,
    check_proxy,
    check_readable,
    check_root_path,
)
from katana_asgi.config.cross_checks import check_together
from katana_asgi.config.setting import Kind, Setting, setting
from katana_asgi.config.static_route import StaticRoute
from katana_asgi.config.values import from_python

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication

__all__ = ["SETTINGS", "Config", "Kind", "StaticRoute"]


@dataclass(frozen=True, kw_only=True)
class ApplicationSettings:
    """Application"""

    app: str | ASGIApplication = setting(  # noqa: RUF009 - it makes a dataclass field
        "",
        "application",
        "The application: MODULE:ATTRIBUTE, or with --factory MODULE:FUNCTION.",
        check=check_application,
    )
    factory: bool = setting(False, "boolean", "Call the attribute to get the application.")
    app_dir: str = setting(
        "",
        "path",
        "Directory put first on the import path; by default the current one.",
        metavar="DIR",
        check=check_directory,
    )
    interface: str = setting(
        "auto",
        "choice",
        "What the application is; auto tells asgi2 from asgi3, wsgi needs the wsgi extra.",
        choices=("auto", "asgi3", "asgi2", "wsgi"),
    )
    lifespan: str = setting(
        "auto",
        "choice",
        "Lifespan protocol: auto goes on without it when the application does not support it.",
        choices=("auto", "on", "off"),
    )
    root_path: str = setting(
        "", "text", "Path under which a proxy mounts the application.", check=check_root_path
    )
    env_file: str | None = setting(
        None,
        "path",
        "File of environment variables to load; needs the env extra.",
        metavar="FILE",
        check=check_readable,
    )


@dataclass(frozen=True, kw_only=True)
class SocketSettings:
    """Sockets"""

    host: str = setting(
        "127.0.0.1", "text", "Address or host name to listen on; empty is all addresses."
    )
    port: int = setting(
        8000, "integer", "Port to listen on; 0 picks a free one.", minimum=0, maximum=65535
    )
    uds: str | None = setting(
        None, "path", "Listen on this Unix socket instead of host and port.", metavar="PATH"
    )
    fd: int | None = setting(
        None, "integer", "Listen on this inherited descriptor instead.", minimum=0
    )
    backlog: int = setting(
        2048, "integer", "Connections the kernel may queue before accept.", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Processes"""

    workers: int = setting(
        1,
        "integer",
        "Worker processes, each with its own event loop and listening socket.",
        minimum=1,
        maximum=1024,
        aliases=("-w",),
        environment=("WEB_CONCURRENCY",),
    )
    loop: str = setting(
        "auto",
        "choice",
        "Event loop; auto is uvloop where it is installed.",
        choices=("auto", "uvloop", "asyncio"),
    )
    timeout_startup: float = setting(
        0.0,
        "duration",
        "Time a worker may take to import the application and finish startup; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    timeout_graceful_shutdown: float = setting(
        30.0,
        "duration",
        "Time running requests get to finish on shutdown before they are cancelled.",
        minimum=0,
    )
    limit_max_requests: int = setting(
        0,
        "integer",
        "Replace a worker after this many requests; with one worker, exit. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """HTTP"""

    http: str = setting(
        "auto",
        "choice",
        "HTTP/1.1 parser; auto is httptools where it is installed, h11 is the strict one.",
        choices=("auto", "httptools", "h11"),
    )
    timeout_header: float = setting(
        10.0,
        "duration",
        "Time a client has to send a request head, from its first byte (or from accept).",
        minimum=0.1,
    )
    timeout_keep_alive: float = setting(
        75.0, "duration", "Time an idle connection is kept open between requests.", minimum=0
    )
    timeout_disconnect: float = setting(
        5.0,
        "duration",
        "Time a streaming response may go on after its client has gone before it is cancelled.",
        minimum=0,
    )
    limit_request_line: int = setting(
        16384, "size", "Longest request line; a longer one gets 414.", minimum=64
    )
    limit_header_size: int = setting(
        65536, "size", "Largest header section; a larger one gets 431.", minimum=256
    )
    limit_header_count: int = setting(
        128, "integer", "Most header fields in a request; more get 431.", minimum=1
    )
    limit_body_size: int = setting(
        0,
        "size",
        "Largest request body, else 413; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_unread_body: int = setting(
        65536,
        "size",
        "Body bytes that the application left unread which are read and dropped to keep the "
        "connection; with more to come it closes after the response.",
        minimum=0,
    )
    limit_concurrency: int = setting(
        0,
        "integer",
        "Requests a worker runs at once, else 503 with Retry-After; 0 is no limit. "
        "Static routes do not count.",
        minimum=0,
        unlimited=True,
    )
    memo: bool = setting(
        True, "boolean", "Remember parsed request heads; clients repeat themselves."
    )
    header: tuple[tuple[str, str], ...] = setting(
        (),
        "field",
        "Field added to every response; repeatable.",
        metavar="NAME:VALUE",
        check=check_field,
    )
    server_header: bool = setting(True, "boolean", "Add a Server field to responses.")
    date_header: bool = setting(True, "boolean", "Add a Date field to responses.")


@dataclass(frozen=True, kw_only=True)
class WebSocketSettings:
    """WebSocket"""

    ws: str = setting(
        "auto",
        "choice",
        "WebSocket; none ignores the Upgrade field and serves an ordinary request.",
        choices=("auto", "none"),
    )
    ws_max_size: int = setting(
        16 * 1024 * 1024,
        "size",
        "Largest message, else close 1009; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_max_fragments: int = setting(
        131_072,
        "integer",
        "Most frames in a message, else close 1009; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_max_queue: int = setting(
        32,
        "integer",
        "Messages that wait for the application before reading pauses; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_ping_interval: float = setting(
        20.0,
        "duration",
        "Silence after which a ping is sent; 0 sends none.",
        minimum=0,
        unlimited=True,
    )
    ws_ping_timeout: float = setting(
        20.0,
        "duration",
        "Time a client has to answer a ping, else the connection is closed; 0 is the interval.",
        minimum=0,
    )
    ws_per_message_deflate: bool = setting(
        True, "boolean", "Compress messages for clients that offer permessage-deflate."
    )
    ws_allow_origin: tuple[str, ...] = setting(
        (),
        "list",
        "Origins whose pages may connect, such as https://example.org, else 403; "
        "none given: every origin, and clients without one.",
        check=check_origin,
    )
    timeout_ws_idle: float = setting(
        0.0,
        "duration",
        "Time without a message after which to close; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    timeout_ws_close: float = setting(
        10.0, "duration", "Time a client has to answer a close frame.", minimum=0.1
    )
    timeout_ws_shutdown: float = setting(
        5.0, "duration", "Time a client has to answer the close frame of a shutdown.", minimum=0.1
    )


@dataclass(frozen=True, kw_only=True)
class RouteSettings:
    """Static routes"""

    static_route: tuple[StaticRoute, ...] = setting(
        (),
        "route",
        "Answer PATH with BODY from cached bytes, without the application; repeatable. "
        "In a file, a table [static-routes].",
        keys=("static-routes",),
        metavar="PATH=BODY",
    )
    static_file_route: tuple[tuple[str, str], ...] = setting(
        (),
        "file-route",
        "Answer PATH with the content of FILE, read at start; repeatable.",
        metavar="PATH=FILE",
        check=check_file_route,
    )


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Proxies"""

    proxy_headers: bool = setting(
        True,
        "boolean",
        "Take client, scheme, host, port and prefix from X-Forwarded-* and Forwarded "
        "when a trusted proxy sent them.",
    )
    forwarded_allow_ips: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        "list",
        "Proxies to trust: addresses, networks (10.0.0.0/8), unix for Unix sockets, or *.",
        environment=("FORWARDED_ALLOW_IPS",),
        check=check_proxy,
    )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Logging"""

    log_level: str = setting(
        "info",
        "choice",
        "What the server says of itself.",
        choices=("critical", "error", "warning", "info", "debug", "trace"),
    )
    access_log: bool = setting(True, "boolean", "Write a line for each request.")
    use_colors: bool | None = setting(
        None, "boolean", "Colour the log; by default only on a terminal."
    )


@dataclass(frozen=True, kw_only=True)
class Config(
    LogSettings,
    ProxySettings,
    RouteSettings,
    WebSocketSettings,
    HttpSettings,
    ProcessSettings,
    SocketSettings,
    ApplicationSettings,
):
    """All settings of a server; frozen, checked when made.

    ``Config(app="main:app", port=0)`` takes final values: seconds, bytes; lists will do for
    tuples, and ``None`` for 0 where 0 is no limit. Text from flags, environment and files goes
    through ``config/sources.py``.

    Raises ``ConfigurationError`` for a value that is not allowed, and for values that cannot
    be had together.
    """

    themes: ClassVar[tuple[type, ...]] = (
        ApplicationSettings,
        SocketSettings,
        ProcessSettings,
        HttpSettings,
        WebSocketSettings,
        RouteSettings,
        ProxySettings,
        LogSettings,
    )

    def __post_init__(self) -> None:
        """Replace each value by its checked form."""
        given = {}
        for name, declared in SETTINGS.items():
            value = from_python(declared, getattr(self, name), f"setting {name}")
            object.__setattr__(self, name, value)
            if value != declared.default:
                given[name] = f"setting {name}"
        check_together(vars(self), given)

    def replace(self, **changes: Any) -> Self:
        """The same settings but for ``changes``, checked again. Raises ``ConfigurationError``."""
        return replace(self, **changes)


SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        declared.name: Setting.of(declared, theme.__doc__ or "")
        for theme in Config.themes
        for declared in fields(theme)
    }
)
"""Every setting by name, theme by theme."""
