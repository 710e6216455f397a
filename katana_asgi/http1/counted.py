"""A connection that may make so many requests and no more; the last response says so.

A class of its own, so that connections without such a limit count nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.http1.connection import Http1Connection

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.routes.static import CachedResponse

__all__ = ["CountedConnection", "connection_kind"]


class CountedConnection(Http1Connection):
    """Answers ``limit_keep_alive_requests`` requests, the last with ``connection: close``."""

    __slots__ = ("_requests_left",)

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._requests_left = settings.limit_keep_alive_requests

    def request_received(self, head: RequestHead) -> None:
        """Count the request, then go on as any connection does."""
        self._requests_left -= 1
        super().request_received(head)
        if self._requests_left <= 0:
            self._keep_alive = False

    def _answer(self, answer: CachedResponse, head: RequestHead) -> None:
        super()._answer(answer if self._requests_left > 0 else answer.closing(), head)


def connection_kind(settings: Http1Settings) -> type[Http1Connection]:
    """The class of connections that the settings ask for."""
    return CountedConnection if settings.limit_keep_alive_requests else Http1Connection
