"""The settings of what is spoken with clients: HTTP, its timeouts and limits, WebSocket.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.checks import (
    check_field,
    check_origin,
)
from katana_asgi.config.setting import setting

__all__ = [
    "HttpSettings",
    "LimitSettings",
    "WebSocketSettings",
]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class HttpSettings:
    """HTTP."""

    theme = "HTTP"

    http: str = setting(
        "auto",
        "choice",
        "Parser of HTTP/1.1 requests; auto uses the native one if it was built, else httptools.",
        choices=("auto", "native", "httptools", "h11"),
    )
    http2: str = setting(
        "auto",
        "choice",
        "HTTP/2: auto serves it over TLS (ALPN), and without TLS to clients that start with it; "
        "tls serves it over TLS only.",
        choices=("auto", "tls", "off"),
    )
    header: tuple[tuple[str, str], ...] = setting(
        (),
        "field",
        "Header to add to every response; repeatable.",
        metavar="NAME:VALUE",
        check=check_field,
    )
    server_header: bool = setting(True, "boolean", "Add a Server header to responses.")
    date_header: bool = setting(True, "boolean", "Add a Date header to responses.")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class LimitSettings:
    """Timeouts and limits."""

    theme = "Timeouts and limits"

    timeout_header: float = setting(
        10.0,
        "duration",
        "Time for a client to send the headers of a request, from its first byte on; for the "
        "first one, from accept on.",
        minimum=0.1,
    )
    timeout_body: float = setting(
        30.0,
        "duration",
        "Longest pause in a request body, else 408; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_body_rate: int = setting(
        240,
        "size",
        "Minimum average rate of a request body in bytes per second, after a grace period of 10 "
        "s, else 408; 0 is no limit. Time while the application does not read is not counted.",
        minimum=0,
        unlimited=True,
    )
    timeout_keep_alive: float = setting(
        75.0, "duration", "Time an idle connection stays open between requests.", minimum=0
    )
    timeout_write: float = setting(
        60.0,
        "duration",
        "How long a client may stop reading before its connection is reset; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    disconnect: str = setting(
        "quiet",
        "choice",
        "What send() does after the client has gone: nothing (ASGI HTTP 2.3, as most frameworks "
        "expect), or raise an OSError (2.5).",
        choices=("quiet", "raise"),
    )
    timeout_disconnect: float = setting(
        5.0,
        "duration",
        "Time a streaming response may continue after its client has left, before it is cancelled.",
        minimum=0,
    )
    limit_request_line: int = setting(
        16384, "size", "Longest request line; longer ones get 414.", minimum=64
    )
    limit_header_size: int = setting(
        65536, "size", "Total size of request headers; larger ones get 431.", minimum=256
    )
    limit_header_count: int = setting(
        128, "integer", "Number of request headers; more get 431.", minimum=1
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
        "How much of a body that the application has not read is discarded to keep the "
        "connection; with more announced, the response says close. A chunked body is bounded "
        "by time.",
        minimum=0,
    )
    limit_concurrency: int = setting(
        0,
        "integer",
        "Requests a worker runs at the same time; others get 503 with Retry-After. Static routes "
        "are not counted. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_keep_alive_requests: int = setting(
        0,
        "integer",
        "Requests per connection; the last response says Connection: close. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_streams: int = setting(
        128,
        "integer",
        "Requests of one HTTP/2 connection that may be open at once; more are refused, to be "
        "sent again.",
        minimum=1,
    )
    limit_connections: int = setting(
        0,
        "integer",
        "Open connections per worker; 0 is 90 % of its file descriptor limit. When they run "
        "short, idle connections are closed; if there are none, new ones get 503 with "
        "Retry-After.",
        minimum=0,
    )
    limit_connections_per_client: int = setting(
        0,
        "integer",
        "Open connections per client address (IPv6: per /64) and worker; others get 503 with "
        "Retry-After. Trusted proxies and Unix sockets are exempt. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class WebSocketSettings:
    """WebSocket."""

    theme = "WebSocket"

    ws: str = setting(
        "auto",
        "choice",
        "WebSocket support; none ignores the Upgrade header and serves an ordinary request.",
        choices=("auto", "none"),
    )
    ws_max_size: int = setting(
        16 * 1024 * 1024,
        "size",
        "Largest WebSocket message, else close code 1009; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_max_fragments: int = setting(
        131_072,
        "integer",
        "Most frames in a message, else close code 1009; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_max_queue: int = setting(
        32,
        "integer",
        "Messages to queue for the application before reading pauses; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    ws_ping_interval: float = setting(
        20.0,
        "duration",
        "Idle time after which a ping is sent; 0 sends no pings.",
        minimum=0,
        unlimited=True,
    )
    ws_ping_timeout: float = setting(
        20.0,
        "duration",
        "Time for a client to answer a ping before the connection is closed; 0 uses the interval.",
        minimum=0,
    )
    ws_per_message_deflate: bool = setting(
        True, "boolean", "Compress messages for clients that offer permessage-deflate."
    )
    ws_allow_origin: tuple[str, ...] = setting(
        (),
        "list",
        "Origins allowed to connect, such as https://example.org, else 403; all by default. "
        "Clients that send no Origin are always allowed.",
        check=check_origin,
    )
    timeout_ws_handshake: float = setting(
        30.0,
        "duration",
        "Time for the application to accept or reject a handshake, else 503; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    timeout_ws_idle: float = setting(
        0.0,
        "duration",
        "Close a WebSocket after this time without a message; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    timeout_ws_close: float = setting(
        10.0, "duration", "Time for a client to answer a close frame.", minimum=0.1
    )
    timeout_ws_shutdown: float = setting(
        5.0,
        "duration",
        "Time for WebSockets to end on shutdown: for clients to answer the close frame and for "
        "the application to return.",
        minimum=0.1,
    )
