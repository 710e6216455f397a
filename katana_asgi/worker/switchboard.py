"""Which protocol gets a connection, or takes one over; the only module that knows them all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.scope import http_scope, websocket_scope
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.forwarded import TrustedProxies
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.settings import Http1Settings
from katana_asgi.http1.websocket_upgrade import Http1Upgrade, is_upgrade
from katana_asgi.http2.connection import Http2Connection
from katana_asgi.http2.settings import Http2Settings
from katana_asgi.net.peer import Peer
from katana_asgi.net.proxy_header import ConnectionFactory, ProxyHeaderReader
from katana_asgi.net.tls import HTTP2
from katana_asgi.websocket.handshake import parse_opening
from katana_asgi.websocket.session import WebSocketSession
from katana_asgi.websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.config.model import Config
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http2.heads import CheckedHead
    from katana_asgi.http2.stream import Http2Stream
    from katana_asgi.net.peer import Endpoint
    from katana_asgi.net.proxy_protocol import Origin
    from katana_asgi.observe.metrics import WorkerMetrics
    from katana_asgi.websocket.session import Upgradable

__all__ = ["Switchboard", "Upgrades"]

WEBSOCKET: Final = b"websocket"
"""RFC 8441 §5: the ``:protocol`` of an extended CONNECT."""


class Upgrades:
    """Decides over what asks to become a WebSocket."""

    def __init__(self, config: Config, context: WorkerContext) -> None:
        self._context = context
        self._settings = WebSocketSettings(config) if config.ws != "none" else None

    @property
    def spoken(self) -> bool:
        """Whether there are any."""
        return self._settings is not None

    def upgrade(self, connection: Http1Connection, head: RequestHead) -> Exchange | None:
        """The exchange for a request with Upgrade; ``None``: it is an ordinary request.

        Raises ``RemoteProtocolError`` for a handshake that is wrong or not allowed.
        """
        if self._settings is None or not is_upgrade(head):
            return None
        upgrade = Http1Upgrade(connection, head)
        return self._session(self._settings, connection.writing, head, connection.peer, upgrade)

    def connect(self, stream: Http2Stream, checked: CheckedHead, peer: Peer) -> Exchange | None:
        """The exchange for an extended CONNECT; ``None``: its protocol is not spoken.

        Raises ``RemoteProtocolError`` for a handshake that is wrong or not allowed.
        """
        if self._settings is None or checked.protocol != WEBSOCKET:
            return None
        return self._session(self._settings, stream, checked.head, peer, stream.open_tunnel())

    def _session(
        self,
        settings: WebSocketSettings,
        writer: ResponseWriter,
        head: RequestHead,
        peer: Peer,
        upgrade: Upgradable,
    ) -> WebSocketSession:
        opening = parse_opening(head)
        if settings.allowed_origins:
            origins = [value.lower() for name, value in head.fields if name == b"origin"]
            if not settings.allowed_origins.issuperset(origins):
                raise RemoteProtocolError("origin not allowed", 403)
        scope = websocket_scope(http_scope(self._context, head, peer), list(opening.subprotocols))
        return WebSocketSession(
            self._context, writer, head, peer, scope, upgrade, opening, settings
        )


class Switchboard:
    """Makes the connections of one kind of listener: those of the application, or of a redirect.

    ``rules`` are further arguments of the settings of every protocol version.
    """

    def __init__(
        self,
        config: Config,
        context: WorkerContext,
        upgrades: Upgrades | None = None,
        *,
        meter: WorkerMetrics | None = None,
        **rules: Any,
    ) -> None:
        self._config = config
        self._context = context
        connect = upgrade = None
        if upgrades is not None and upgrades.spoken:
            connect, upgrade = upgrades.connect, upgrades.upgrade
        self._http2 = Http2Settings(config, context.defaults, connect=connect, meter=meter, **rules)
        self._http1 = Http1Settings(
            config,
            context.defaults,
            upgrade=upgrade,
            prior_knowledge=self._hand_over if config.http2 == "auto" else None,
            meter=meter,
            **rules,
        )

    def factory(self, server: Endpoint | bool, scheme: str) -> ConnectionFactory:
        """A factory of connections to ``server``; ``False``: to what their sockets say.

        It is given the protocol that TLS has agreed on. Where PROXY headers are read, it makes
        their readers: those of trusted peers come first.
        """
        config = self._config

        def connection(agreed: str | None = None) -> asyncio.Protocol:
            return self.connection(Peer(server, scheme), agreed)

        def successor(origin: Origin | None) -> ConnectionFactory:
            return partial(self.connection, Peer(False, scheme, origin))

        if not config.proxy_protocol:
            return connection
        return partial(
            ProxyHeaderReader,
            self._context.clock,
            config.timeout_proxy_header,
            TrustedProxies(config.forwarded_allow_ips).trusts,
            successor,
            self._context.connection_closed,
        )

    def plain(self, peer: Peer) -> Http1Connection:
        """A connection with ``peer`` that is over plain HTTP/1.1 already."""
        return Http1Connection(self._context, self._http1, peer)

    def connection(self, peer: Peer, agreed: str | None = None) -> asyncio.Protocol:
        """A connection with ``peer``, which begins with what TLS has agreed on."""
        if agreed == HTTP2:
            return Http2Connection(self._context, self._http2, peer)
        return Http1Connection(self._context, self._http1, peer)

    def _hand_over(
        self, before: Http1Connection, transport: asyncio.Transport, data: bytes
    ) -> None:
        """Go on with a client that began with the preface of HTTP/2."""
        connection = Http2Connection(self._context, self._http2, before.peer)
        self._context.admission.passes_on(before, connection)
        transport.set_protocol(connection)
        connection.take_over(transport, data)
