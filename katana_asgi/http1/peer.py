"""Who is at the other end of an HTTP/1.1 connection, for the scope and the access log.

Looked up when first asked for: a static response without an access log never asks.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from katana_asgi.asgi.scope import Client, Endpoint, http_scope
from katana_asgi.net.tls_details import tls_details

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http.message import RequestHead
    from katana_asgi.net.proxy_protocol import Origin
    from katana_asgi.routes.static import CachedResponse

__all__ = ["Http1Peer"]


class Http1Peer(asyncio.Protocol):
    """The transport of a connection and the addresses of both its ends."""

    __slots__ = ("_client", "_context", "_outcome", "_scheme", "_server", "_tls", "_transport")

    def __init__(self, context: WorkerContext, server: Endpoint | bool, scheme: str) -> None:
        self._context = context
        self._scheme = scheme
        # False: not looked up yet.
        self._server = server
        self._client: Client | bool = False
        self._tls: dict[str, Any] | None = None
        # The last ``Outcome`` in the access log, to come again as the same object: with the type
        # of a tuple, compiled code would make a new one each time.
        self._outcome: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def take_origin(self, origin: Origin) -> None:
        """Believe the addresses of a PROXY header; called before ``connection_made``."""
        source, destination = origin.source, origin.destination
        if source is not None:
            self._client = source if isinstance(source, tuple) else None
        if destination is not None:
            self._server = destination if isinstance(destination, tuple) else (destination, None)

    def make_scope(self, head: RequestHead) -> dict[str, Any]:
        """The scope of a request on this connection."""
        client = self._client
        if client is False:
            client = self._look_up_client()
        server = self._server
        if server is False:
            server = self._look_up_server()
        scope = http_scope(
            self._context, head, cast("Client", client), cast("Endpoint", server), self._scheme
        )
        if self._scheme == "https":
            details = self._tls
            if details is None:
                details = self._tls = tls_details(self._transport)
            scope["extensions"]["tls"] = details.copy()
        return scope

    @property
    def client(self) -> Client:
        """The peer's address and port; ``None`` over a Unix socket."""
        client = self._client
        return self._look_up_client() if client is False else cast("Client", client)

    def _look_up_client(self) -> Client:
        name: Any = self._transport.get_extra_info("peername")
        client = (name[0], name[1]) if isinstance(name, tuple) else None
        self._client = client
        return client

    def _look_up_server(self) -> Endpoint:
        """The address and port the peer connected to, or a Unix socket's path and ``None``."""
        name: Any = self._transport.get_extra_info("sockname")
        server = (name[0], name[1]) if isinstance(name, tuple) else (str(name), None)
        self._server = server
        return server

    @property
    def scheme(self) -> str:
        """What the connection itself is: ``http`` or ``https``."""
        return self._scheme

    def _log_answer(self, head: RequestHead, answer: CachedResponse) -> None:
        """A static response is with the transport."""
        access = self._context.access
        if access is None:
            return
        status, length = answer.status, answer.length
        outcome = self._outcome
        if (
            outcome is None
            or outcome[2] is not head
            or outcome[3] != status
            or outcome[5] != length
        ):
            data = answer.data if access.reads_sent else None
            outcome = (self.client, self._scheme, head, status, data, length, 0, "", None)
            self._keep(outcome)
        now = perf_counter() if access.timed else 0.0
        access.add((outcome, now, now, None))

    def _keep(self, outcome: Any) -> None:
        """Remember an outcome that may come again; not the fields of a response with it."""
        if outcome[4] is None:
            self._outcome = outcome
