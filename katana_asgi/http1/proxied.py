"""HTTP/1.1 connections whose client a PROXY header names.

A class of its own, so that connections without such a header pay nothing for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.counted import CountedConnection, connection_kind
from katana_asgi.net.proxy_details import proxy_details
from katana_asgi.net.proxy_header import ProxyHeaderReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.net.proxy_protocol import Origin

__all__ = ["proxied_factory"]


def proxied_factory(
    context: WorkerContext,
    settings: Http1Settings,
    *,
    plain: Callable[..., Http1Connection] | None = None,
    proxied: Callable[..., Http1Connection] | None = None,
) -> Callable[[], asyncio.Protocol]:
    """A factory of protocols that read a PROXY header first, where the peer is trusted.

    ``plain`` and ``proxied`` make the connections of peers without a header and with one.
    """
    if plain is None:
        plain = connection_kind(settings)
    proxied = proxied or ProxiedConnection
    trusts, scheme = settings.proxy_trusts, context.scheme
    assert trusts is not None  # noqa: S101 - the caller has looked

    def successor(origin: Origin | None) -> asyncio.Protocol:
        if origin is None:
            return plain(context, settings, False, scheme)
        connection = proxied(context, settings, scheme)
        connection.take_origin(origin)
        return connection

    def reader() -> ProxyHeaderReader:
        return ProxyHeaderReader(
            context.clock,
            settings.timeout_proxy_header,
            trusts,
            successor,
            context.connection_closed,
        )

    return reader


class ProxiedConnection(CountedConnection):
    """Takes both addresses, and what else is known, from a PROXY header."""

    __slots__ = ("_details",)

    def __init__(self, context: WorkerContext, settings: Http1Settings, scheme: str) -> None:
        super().__init__(context, settings, False, scheme)
        if not settings.limit_keep_alive_requests:
            self._requests_left = sys.maxsize

    def take_origin(self, origin: Origin) -> None:
        """Believe the whole header. Raises ``ProxyHeaderError`` where its details are malformed."""
        super().take_origin(origin)
        self._details = proxy_details(origin)

    def make_scope(self, head: RequestHead) -> dict[str, Any]:
        """The scope, with what the header said of TLS before the balancer."""
        scope = super().make_scope(head)
        details = self._details
        if "tls_verified" in details and scope["scheme"] == "http":
            scope["scheme"] = "https"
        scope["extensions"]["proxy_protocol"] = details.copy()
        return scope
