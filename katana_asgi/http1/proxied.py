"""HTTP/1.1 connections whose client a PROXY header names.

A class of its own, so that connections without such a header pay nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi.http1.counted import CountedConnection
from katana_asgi.net.proxy_details import proxy_details

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.net.proxy_protocol import Origin

__all__ = ["ProxiedConnection"]


class ProxiedConnection(CountedConnection):
    """Takes both addresses, and what else is known, from a PROXY header."""

    __slots__ = ("_details",)

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._details: dict[str, Any] | None = None  # None: there was no header

    def take_origin(self, origin: Origin) -> None:
        """Believe the whole header. Raises ``ProxyHeaderError`` where its details are malformed."""
        super().take_origin(origin)
        self._details = proxy_details(origin)

    def make_scope(self, head: RequestHead) -> dict[str, Any]:
        """The scope, with what the header said of TLS before the balancer."""
        scope = super().make_scope(head)
        details = self._details
        if details is not None:
            if "tls_verified" in details and scope["scheme"] == "http":
                scope["scheme"] = "https"
            scope["extensions"]["proxy_protocol"] = details.copy()
        return scope
