"""The scope of one request (ASGI HTTP 2.3 to 2.5).

Everything an application may change is fresh: the scope itself, ``asgi``, ``headers``,
``state`` and ``extensions``. What one request does to them never reaches the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from katana_asgi.asgi.request_ids import TRUSTED
from katana_asgi.http.forwarded import believe

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http.message import RequestHead
    from katana_asgi.net.peer import Peer

__all__ = ["http_scope", "websocket_scope"]


def http_scope(context: WorkerContext, head: RequestHead, peer: Peer) -> dict[str, Any]:
    """Build the scope of a request that came from ``peer``."""
    client, server, scheme, extended, trusted = peer.facts or peer.read(context.trusted)
    host = port = prefix = None
    if trusted and head.forwarded and context.trusted is not None:
        client, scheme, host, port, prefix = believe(
            head.fields, head.forwarded, client, scheme, context.trusted
        )
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": context.spec_version},
        "http_version": head.version,
        "method": head.method,
        "scheme": scheme,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "root_path": context.root_path,
        "headers": head.fields[:],
        "client": client,
        "server": server,
        "state": context.state.copy(),
        "extensions": {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        },
    }
    if extended:
        scope["extensions"].update(peer.extensions())
    if head.version == "1.0":
        del scope["extensions"]["http.response.early_hint"]  # RFC 8297 §2
    if context.trusts_ids:
        scope[TRUSTED] = trusted
    if host or port or prefix:
        _apply_forwarded(scope, host, port, prefix)
    if scope["root_path"]:
        _mount(scope)
    return scope


def websocket_scope(scope: dict[str, Any], subprotocols: list[str]) -> dict[str, Any]:
    """The scope of a WebSocket, from that of its handshake (ASGI WebSocket 2.5)."""
    scope["type"] = "websocket"
    scope["asgi"]["spec_version"] = "2.5"
    scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
    scope["subprotocols"] = subprotocols
    extensions = scope["extensions"]
    for name in [name for name in extensions if name.startswith("http.")]:
        del extensions[name]
    extensions["websocket.http.response"] = {}
    del scope["method"]
    return scope


def _apply_forwarded(
    scope: dict[str, Any], host: bytes | None, port: int | None, prefix: str | None
) -> None:
    """Believe a trusted proxy about what the request was for, too."""
    server = scope["server"]
    if host is not None:
        scope["headers"] = [
            (b"host", host) if name == b"host" else (name, value)
            for name, value in scope["headers"]
        ]
    if port is not None and server is not None:
        scope["server"] = (server[0], port)
    if prefix is not None:
        scope["root_path"] = prefix + scope["root_path"]


def _mount(scope: dict[str, Any]) -> None:
    """ASGI: ``path`` contains ``root_path``; the proxy has cut it off."""
    root_path = scope["root_path"]
    if scope["path"] != "*":
        scope["path"] = root_path + scope["path"]
        scope["raw_path"] = quote(root_path).encode("ascii") + scope["raw_path"]
