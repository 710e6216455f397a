"""What HTTP/1.1 connections take from the configuration, once per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from katana_asgi.http1.default_lines import DefaultLines
from katana_asgi.http1.scanning import head_scanner, next_scanner
from katana_asgi.net.proxy_protocol import NOT_SPOKEN, NOT_TRUSTED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.config.model import Config
    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.http1.connection import Http1Connection
    from katana_asgi.observe.metrics import WorkerMetrics

__all__ = ["HandOver", "Http1Settings", "Upgrade"]

Upgrade: TypeAlias = "Callable[[Http1Connection, RequestHead], Exchange | None]"
"""Makes the exchange for a request that asks for another protocol; ``None``: it is an ordinary one.

Raises ``RemoteProtocolError`` for a handshake that is wrong."""

HandOver: TypeAlias = "Callable[[Http1Connection, asyncio.Transport, bytes], None]"
"""Goes on as a connection of another protocol, with the bytes that have come."""


class Http1Settings:
    """What the connections of one kind of listener share.

    Timeouts in seconds, limits in bytes; 0 is no limit. ``upgrade`` ``None``: an Upgrade is
    ignored (RFC 9110 §7.8). ``prior_knowledge`` is given a client that speaks HTTP/2 from its
    first byte; ``None``: it is refused. ``redirect``: every request is answered with what this
    returns. ``without`` are default fields that are not sent. ``meter`` counts, where metrics are
    on.
    """

    __slots__ = (
        "defaults",
        "head_limits",
        "limit_body_rate",
        "limit_keep_alive_requests",
        "limit_unread",
        "meter",
        "prior_knowledge",
        "proxy_reason",
        "redirect",
        "scan_head",
        "scan_next",
        "timeout_body",
        "timeout_header",
        "timeout_keep_alive",
        "timeout_write",
        "upgrade",
    )

    def __init__(
        self,
        config: Config,
        defaults: DefaultFields,
        *,
        upgrade: Upgrade | None = None,
        redirect: Callable[[RequestHead], Refusal] | None = None,
        without: frozenset[bytes] = frozenset(),
        prior_knowledge: HandOver | None = None,
        meter: WorkerMetrics | None = None,
    ) -> None:
        self.scan_head = head_scanner(config.http)
        self.scan_next = next_scanner(config.http)
        self.head_limits = (
            config.limit_request_line,
            config.limit_header_size,
            config.limit_header_count,
        )
        # Of the refusal of a PROXY header where a request should be.
        self.proxy_reason = NOT_TRUSTED if config.proxy_protocol else NOT_SPOKEN
        self.defaults = DefaultLines(defaults, without)
        self.upgrade = upgrade
        self.prior_knowledge = prior_knowledge
        self.redirect = redirect
        self.meter = meter
        self.limit_body_rate = config.limit_body_rate
        self.limit_keep_alive_requests = config.limit_keep_alive_requests
        self.limit_unread = config.limit_unread_body
        self.timeout_body = config.timeout_body
        self.timeout_header = config.timeout_header
        self.timeout_keep_alive = config.timeout_keep_alive
        self.timeout_write = config.timeout_write
