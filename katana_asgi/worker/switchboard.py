"""Which protocol gets a connection; the only module that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.asgi.scope import websocket_scope
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http1.lifecycle import RETRY_LATER
from katana_asgi.websocket.handshake import check_upgrade, is_upgrade
from katana_asgi.websocket.session import WebSocketSession
from katana_asgi.websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.config.model import Config
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.connection import Http1Connection

__all__ = ["Switchboard"]


class Switchboard:
    """Decides over upgrades of HTTP/1.1 connections."""

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
        upgrade = check_upgrade(head)
        context = self._context
        if context.limit_concurrency and context.running >= context.limit_concurrency:
            raise RemoteProtocolError("too many requests at once", 503, RETRY_LATER)
        if settings.allowed_origins:
            origins = [value.lower() for name, value in head.fields if name == b"origin"]
            if not settings.allowed_origins.issuperset(origins):
                raise RemoteProtocolError("origin not allowed", 403)
        scope = websocket_scope(connection.make_scope(head), list(upgrade.subprotocols))
        return WebSocketSession(context, connection, connection, scope, head, upgrade, settings)
