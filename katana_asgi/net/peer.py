"""Who is at the other end of a connection: addresses, scheme, and what TLS and PROXY headers add.

Addresses are read from the transport when they are first asked for: a static response without
an access log never asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from katana_asgi.net.proxy_details import proxy_details
from katana_asgi.net.tls_details import tls_details

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.http.forwarded import TrustedProxies
    from katana_asgi.net.proxy_protocol import Origin

__all__ = ["Client", "Endpoint", "Peer"]

Client: TypeAlias = tuple[str, int] | None
Endpoint: TypeAlias = tuple[str, int | None] | None
Facts: TypeAlias = tuple[Client, Endpoint, str, bool, bool]


class Peer:
    """One per connection, the same for all of its requests.

    ``server`` is the address that the listener knows, ``False`` where each connection has its
    own. ``origin`` is a PROXY header that is believed; raises ``ProxyHeaderError`` where its
    details are malformed. ``client`` and ``proxy`` are what another process knew of the same peer
    (``carried``). ``connected`` has to come before anything is asked.
    """

    __slots__ = (
        "_client",
        "_proxy",
        "_server",
        "_tls",
        "_transport",
        "connection_scheme",
        "facts",
    )

    _transport: asyncio.BaseTransport

    def __init__(
        self,
        server: Endpoint | bool,
        scheme: str,
        origin: Origin | None = None,
        *,
        client: Client | bool = False,
        proxy: dict[str, Any] | None = None,
    ) -> None:
        self.connection_scheme = scheme  # of the connection itself: http or https
        # What a scope needs of it, read at the first request; see ``read``.
        self.facts: Facts | None = None
        self._server = server  # False, here and below: not read yet
        self._client = client
        self._tls: dict[str, Any] | None = None
        self._proxy = proxy
        if origin is not None:
            self._believe(origin)

    def connected(self, transport: asyncio.BaseTransport) -> None:
        """The connection has its transport."""
        self._transport = transport

    def _believe(self, origin: Origin) -> None:
        self._proxy = proxy_details(origin)
        source, destination = origin.source, origin.destination
        if source is not None:
            self._client = source if isinstance(source, tuple) else None
        if destination is not None:
            self._server = destination if isinstance(destination, tuple) else (destination, None)

    @property
    def carried(self) -> tuple[Client | bool, Endpoint | bool, dict[str, Any] | None]:
        """What cannot be asked of the connection in another process: client, server, proxy."""
        return self._client, self._server, self._proxy

    def read(self, trusted: TrustedProxies | None) -> Facts:
        """Client, server, scheme, whether there are extensions, and whether the peer is one of
        the proxies that are ``trusted``; kept in ``facts``."""
        client, server = self.client, self.server
        extended = self.connection_scheme == "https" or self._proxy is not None
        # Without an address over TCP it has gone already, and is no peer of a Unix socket.
        gone = client is None and server is not None and server[1] is not None
        believed = (
            trusted is not None and not gone and trusted.trusts(client[0] if client else None)
        )
        self.facts = client, server, self.scheme, extended, believed
        return self.facts

    @property
    def client(self) -> Client:
        """The peer's address and port; ``None`` over a Unix socket."""
        client = self._client
        if client is False:
            name: Any = self._transport.get_extra_info("peername")
            client = self._client = (name[0], name[1]) if isinstance(name, tuple) else None
        return cast("Client", client)

    @property
    def server(self) -> Endpoint:
        """The address and port the peer connected to, or a Unix socket's path and ``None``."""
        server = self._server
        if server is False:
            name: Any = self._transport.get_extra_info("sockname")
            server = (name[0], name[1]) if isinstance(name, tuple) else (str(name), None)
            self._server = server
        return cast("Endpoint", server)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``; the latter also where a PROXY header says so of the balancer."""
        proxy = self._proxy
        if proxy is not None and "tls_verified" in proxy:
            return "https"
        return self.connection_scheme

    def extensions(self) -> dict[str, Any]:
        """A fresh dictionary of the ASGI extensions that tell of the connection."""
        extensions: dict[str, Any] = {}
        if self.connection_scheme == "https":
            if self._tls is None:
                self._tls = tls_details(self._transport)
            extensions["tls"] = self._tls.copy()
        if self._proxy is not None:
            extensions["proxy_protocol"] = self._proxy.copy()
        return extensions
