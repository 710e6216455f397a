"""The application of the admin listener: health, readiness, metrics, status. It only reads.

An ordinary ASGI application; the worker, or for several workers a process of its own, serves
it with the same server as everything else.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.admin.page import PAGE, POLICY
from katana_asgi.observe.exposition import render

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Receive, Scope, Send
    from katana_asgi.observe.fleet import Fleet

__all__ = ["AdminApplication"]

TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"

OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Paths that need no token: probes rarely have one."""

FIELDS: Final = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"vary", b"accept"),
]


class AdminApplication:
    """Answers from what ``fleet`` has; ``token`` is empty where none is asked for."""

    def __init__(self, fleet: Fleet, token: str = "") -> None:
        self._fleet = fleet
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, kind, content, further = self._answer(dict(scope))
        fields = [
            (b"content-type", kind.encode("latin-1")),
            (b"content-length", str(len(content)).encode("ascii")),
            *FIELDS,
            *further,
        ]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: dict[str, Any]) -> tuple[int, str, bytes, list[tuple[bytes, bytes]]]:
        path = scope["path"]
        headers = dict(scope["headers"])
        if scope["method"] not in ("GET", "HEAD"):
            return 405, TEXT, b"read-only\n", [(b"allow", b"GET, HEAD")]
        if not self._token and not _names_an_address(headers.get(b"host", b"")):
            # Against DNS rebinding: a page of another site must not read this one.
            return 421, TEXT, b"use an IP address or localhost\n", []
        accept = headers.get(b"accept", b"").decode("latin-1")
        wants_page = path in ("/", "/status") and JSON not in accept
        if path not in OPEN and not wants_page and not self._may_read(headers):
            return 401, TEXT, b"a token is needed\n", [(b"www-authenticate", b"Bearer")]
        if wants_page:  # has no data in it; its script asks for them, with the token
            return 200, HTML, PAGE, []
        match path:
            case "/healthz":
                return 200, TEXT, b"ok\n", []
            case "/readyz":
                ready = self._fleet.ready
                return (200, TEXT, b"ready\n", []) if ready else (503, TEXT, b"not ready\n", [])
            case "/metrics":
                content, kind = render(self._fleet, accept)
                return 200, kind, content, []
            case "/" | "/status" | "/status.json":
                return 200, JSON, json.dumps(self._fleet.status()).encode("ascii"), []
        return 404, TEXT, b"/metrics /status /healthz /readyz\n", []

    def _may_read(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the request carries the token (RFC 6750 §2.1), compared in constant time."""
        if not self._token:
            return True
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token)


def _names_an_address(host: bytes) -> bool:
    name = host.decode("latin-1").lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in ("", "localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
