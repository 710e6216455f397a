"""What HTTP/1.1 connections take from the configuration, once per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import back_end, head_parser

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["Http1Settings"]


class Http1Settings:
    """Timeouts in seconds, limits in bytes; 0 is no limit."""

    __slots__ = (
        "limit_body",
        "limit_unread",
        "limits",
        "memo",
        "parse_head",
        "timeout_header",
        "timeout_keep_alive",
    )

    def __init__(self, config: Config) -> None:
        self.memo = config.memo and back_end(config.http) != "h11"
        self.limits = HeadLimits(
            config.limit_request_line, config.limit_header_size, config.limit_header_count
        )
        self.parse_head = head_parser(config.http, self.limits, memo=self.memo)
        self.limit_body = config.limit_body_size
        self.limit_unread = config.limit_unread_body
        self.timeout_header = config.timeout_header
        self.timeout_keep_alive = config.timeout_keep_alive
