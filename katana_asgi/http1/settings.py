"""What HTTP/1.1 connections take from the configuration, once per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from katana_asgi.http.forwarded import TrustedProxies
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.memo import HeadMemo
from katana_asgi.http1.parser import back_end, head_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        "heads",
        "limit_body",
        "limit_body_rate",
        "limit_keep_alive_requests",
        "limit_unread",
        "limits",
        "parse_head",
        "proxy_trusts",
        "remember",
        "switch",
        "timeout_body",
        "timeout_header",
        "timeout_keep_alive",
        "timeout_proxy_header",
        "timeout_write",
    )

    def __init__(self, config: Config, switch: Switch | None = None) -> None:
        memo = config.memo and back_end(config.http) != "h11"
        self.limits = HeadLimits(
            config.limit_request_line, config.limit_header_size, config.limit_header_count
        )
        self.parse_head = head_parser(config.http, self.limits, memo=memo)
        # Whether a connection remembers its last read; what it counts it must not skip.
        self.remember = memo and not config.limit_keep_alive_requests
        # Reads that are one whole head parsed before, for connections that see them first.
        self.heads: Mapping[bytes, RequestHead] = {}
        if self.remember and isinstance(self.parse_head, HeadMemo):
            self.heads = self.parse_head.heads
        self.switch = switch  # what to do with an Upgrade; None: ignore it (RFC 9110 §7.8)
        self.limit_body = config.limit_body_size
        self.limit_body_rate = config.limit_body_rate
        self.limit_keep_alive_requests = config.limit_keep_alive_requests
        self.limit_unread = config.limit_unread_body
        self.timeout_body = config.timeout_body
        self.timeout_header = config.timeout_header
        self.timeout_keep_alive = config.timeout_keep_alive
        self.timeout_write = config.timeout_write
        self.timeout_proxy_header = config.timeout_proxy_header
        # Who has to send a PROXY header; None: nobody, the protocol is off.
        self.proxy_trusts = (
            TrustedProxies(config.forwarded_allow_ips).trusts if config.proxy_protocol else None
        )
