"""What HTTP/1.1 connections take from the configuration, once per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import back_end, head_parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.config.model import Config
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.connection import Http1Connection

__all__ = ["Http1Settings"]

Switch: TypeAlias = "Callable[[Http1Connection, RequestHead], Exchange | None]"
"""Makes the exchange for a request that asks for another protocol, or says no with ``None``."""


class Http1Settings:
    """Timeouts in seconds, limits in bytes; 0 is no limit."""

    __slots__ = (
        "limit_body",
        "limit_unread",
        "limits",
        "memo",
        "parse_head",
        "switch",
        "timeout_header",
        "timeout_keep_alive",
    )

    def __init__(self, config: Config, switch: Switch | None = None) -> None:
        self.memo = config.memo and back_end(config.http) != "h11"
        self.limits = HeadLimits(
            config.limit_request_line, config.limit_header_size, config.limit_header_count
        )
        self.parse_head = head_parser(config.http, self.limits, memo=self.memo)
        self.switch = switch  # what to do with an Upgrade; None: ignore it (RFC 9110 §7.8)
        self.limit_body = config.limit_body_size
        self.limit_unread = config.limit_unread_body
        self.timeout_header = config.timeout_header
        self.timeout_keep_alive = config.timeout_keep_alive
