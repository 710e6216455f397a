"""Which protocol gets a connection, or takes one over; the only module that knows them all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from katana_asgi.asgi.scope import http_scope, websocket_scope
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.forwarded import TrustedProxies
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.websocket_upgrade import Http1Upgrade, is_upgrade
from katana_asgi.net.proxy_header import ProxyHeaderReader
from katana_asgi.websocket.handshake import parse_opening
from katana_asgi.websocket.session import WebSocketSession
from katana_asgi.websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.config.model import Config
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.net.peer import Endpoint
    from katana_asgi.net.proxy_protocol import Origin

__all__ = ["Switchboard", "connection_factory"]


class Switchboard:
    """Decides over upgrades."""

    def __init__(self, config: Config, context: WorkerContext) -> None:
        self._context = context
        self._websocket = WebSocketSettings(config) if config.ws != "none" else None

    def __call__(self, connection: Http1Connection, head: RequestHead) -> Exchange | None:
        """The exchange for a request with Upgrade; ``None``: it is an ordinary request.

        Raises ``RemoteProtocolError`` for a handshake that is wrong or not allowed.
        """
        settings = self._websocket
        if settings is None or not is_upgrade(head):
            return None
        upgrade = Http1Upgrade(connection, head)
        opening = parse_opening(head)
        if settings.allowed_origins:
            origins = [value.lower() for name, value in head.fields if name == b"origin"]
            if not settings.allowed_origins.issuperset(origins):
                raise RemoteProtocolError("origin not allowed", 403)
        peer = connection.peer
        scope = websocket_scope(http_scope(self._context, head, peer), list(opening.subprotocols))
        return WebSocketSession(
            self._context, connection.writing, head, peer, scope, upgrade, opening, settings
        )


def connection_factory(
    config: Config,
    context: WorkerContext,
    settings: Http1Settings,
    server: Endpoint | bool,
    scheme: str,
) -> Callable[[], asyncio.Protocol]:
    """A factory of connections to ``server``; ``False``: to what their sockets say.

    Where PROXY headers are read, those of trusted peers come first.
    """
    if not config.proxy_protocol:
        return partial(Http1Connection, context, settings, server, scheme)

    def successor(origin: Origin | None) -> asyncio.Protocol:
        return Http1Connection(context, settings, False, scheme, origin)

    return partial(
        ProxyHeaderReader,
        context.clock,
        config.timeout_proxy_header,
        TrustedProxies(config.forwarded_allow_ips).trusts,
        successor,
        context.connection_closed,
    )
