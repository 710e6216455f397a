"""The scope of one request (ASGI HTTP 2.5).

Everything an application may change is fresh: the scope itself, ``asgi``, ``headers``,
``state`` and ``extensions``. What one request does to them never reaches the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from katana_asgi.asgi.request_ids import TRUSTED
from katana_asgi.http.forwarded import positions_of, resolve

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http.message import RequestHead

__all__ = ["Client", "Endpoint", "fresh_scope", "http_scope", "websocket_scope"]

Client: TypeAlias = tuple[str, int] | None
Endpoint: TypeAlias = tuple[str, int | None] | None


def http_scope(
    context: WorkerContext, head: RequestHead, client: Client, server: Endpoint, scheme: str
) -> dict[str, Any]:
    """Build the scope of a request that came from ``client`` to ``server``."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
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
        "extensions": {},
    }
    if context.trusts_ids:
        peer = client[0] if client else None
        scope[TRUSTED] = context.trusted is not None and context.trusted.trusts(peer)
    if head.forwarded and context.trusted is not None:
        _apply_forwarded(context, scope, head, client)
    if scope["root_path"]:
        _mount(scope)
    return scope


def fresh_scope(scope: dict[str, Any], context: WorkerContext) -> dict[str, Any]:
    """The scope of the same request once more; ``scope`` was never given to an application."""
    fresh = scope.copy()
    fresh["asgi"] = {"version": "3.0", "spec_version": "2.5"}
    fresh["headers"] = scope["headers"][:]
    fresh["state"] = context.state.copy()
    extensions = scope["extensions"]
    fresh["extensions"] = (
        {name: extensions[name].copy() for name in extensions} if extensions else {}
    )
    return fresh


def websocket_scope(scope: dict[str, Any], subprotocols: list[str]) -> dict[str, Any]:
    """The scope of a WebSocket, from that of its handshake (ASGI WebSocket 2.5)."""
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
    scope["subprotocols"] = subprotocols
    scope["extensions"]["websocket.http.response"] = {}
    del scope["method"]
    return scope


def _apply_forwarded(
    context: WorkerContext, scope: dict[str, Any], head: RequestHead, client: Client
) -> None:
    """Believe a trusted proxy about who asked, how and for what."""
    trusted = context.trusted
    assert trusted is not None  # noqa: S101 - the caller has looked
    if client is None and scope["server"] is not None and scope["server"][1] is not None:
        return  # no peer of a Unix socket, but one that has gone before it could be looked up
    if not trusted.trusts(client[0] if client else None):
        return
    # To be replaced by the positions that the scan of the head found.
    positions = positions_of(head.fields)
    forwarded = resolve(head.fields, positions, client, scope["scheme"], trusted)
    scope["client"] = forwarded.client
    scope["scheme"] = forwarded.scheme
    if forwarded.host is not None:
        scope["headers"] = [
            (b"host", forwarded.host) if name == b"host" else (name, value)
            for name, value in scope["headers"]
        ]
    if forwarded.port is not None and scope["server"] is not None:
        scope["server"] = (scope["server"][0], forwarded.port)
    if forwarded.prefix is not None:
        scope["root_path"] = forwarded.prefix + scope["root_path"]


def _mount(scope: dict[str, Any]) -> None:
    """ASGI: ``path`` contains ``root_path``; the proxy has cut it off."""
    root_path = scope["root_path"]
    if scope["path"] != "*":
        scope["path"] = root_path + scope["path"]
        scope["raw_path"] = quote(root_path).encode("ascii") + scope["raw_path"]
