"""A connection that may make so many requests and no more; the last response says so.

A class of its own, so that connections without such a limit count nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from katana_asgi.http1.connection import Http1Connection

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["CountedConnection"]


class CountedConnection(Http1Connection):
    """Answers ``limit_keep_alive_requests`` requests, the last with ``connection: close``.

    Without a limit, as a base of others, it answers all there can be.
    """

    __slots__ = ("_requests_left",)

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._requests_left = settings.limit_keep_alive_requests or sys.maxsize

    def request_received(self, head: RequestHead) -> None:
        """Count the request, then go on as any connection does."""
        self._requests_left -= 1
        if self._requests_left > 0:
            super().request_received(head)
            return
        routes = self._context.routes
        answer = None if routes is None else routes.match(head)
        if answer is not None:
            self._answer(answer.closing(), head)
            return
        super().request_received(head)
        self._keep_alive = False
