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


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """HTTP."""

    theme = "HTTP"

    http: str = setting(
        "auto",
        "choice",
        "Parser of HTTP/1.1 request heads; auto is the native one where it was built, "
        "else httptools.",
        choices=("auto", "native", "httptools", "h11"),
    )
    http2: str = setting(
        "auto",
        "choice",
        "HTTP/2; auto speaks it over TLS by ALPN and without TLS with clients that begin with it, "
        "tls over TLS only.",
        choices=("auto", "tls", "off"),
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
class LimitSettings:
    """Timeouts and limits."""

    theme = "Timeouts and limits"

    timeout_header: float = setting(
        10.0,
        "duration",
        "Time a client has to send a request head, from its first byte (or from accept).",
        minimum=0.1,
    )
    timeout_body: float = setting(
        30.0,
        "duration",
        "Longest silence while a body is expected, else 408; 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    limit_body_rate: int = setting(
        240,
        "size",
        "Bytes per second that a body must bring on average, after 10 s of grace, else 408; "
        "0 is no limit. Time during which the application does not read does not count.",
        minimum=0,
        unlimited=True,
    )
    timeout_keep_alive: float = setting(
        75.0, "duration", "Time an idle connection is kept open between requests.", minimum=0
    )
    timeout_write: float = setting(
        60.0,
        "duration",
        "Time a client that does not read its response may hold it up before it is reset; "
        "0 is no limit.",
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
    limit_keep_alive_requests: int = setting(
        0,
        "integer",
        "Requests a connection may make; the last response says so. 0 is no limit.",
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
        "Connections a worker keeps open; 0 is 90 % of the descriptors it may open. When they "
        "run short idle ones are closed; where there are none, new ones get 503 with Retry-After.",
        minimum=0,
    )
    limit_connections_per_client: int = setting(
        0,
        "integer",
        "Connections a worker keeps open for one address (IPv6: one /64), else 503 with "
        "Retry-After; trusted proxies and Unix sockets are exempt. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )


@dataclass(frozen=True, kw_only=True)
class WebSocketSettings:
    """WebSocket."""

    theme = "WebSocket"

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
        "Origins whose pages may connect, such as https://example.org, else 403; none given: "
        "all. A client that sends no Origin always may.",
        check=check_origin,
    )
    timeout_ws_handshake: float = setting(
        30.0,
        "duration",
        "Time the application has to accept or refuse a handshake, else 503; 0 is no limit.",
        minimum=0,
        unlimited=True,
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
        5.0,
        "duration",
        "Time WebSockets get on shutdown, for the client to answer the close frame and for the "
        "application to end its call.",
        minimum=0.1,
    )
