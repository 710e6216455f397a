"""An application around the application: request ids and ``Server-Timing``.

It stands there only where a setting asks for it, so it costs nothing where none does. The id
is in ``scope["state"]["request_id"]``, in log records (``observe/request_ids.py``) and in the
response's X-Request-ID; a trusted peer may bring one along.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Final

from katana_asgi.codec import field_value
from katana_asgi.observe import request_ids

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from katana_asgi.asgi_types import ASGIApplication, Message, Receive, Scope, Send
    from katana_asgi.config.model import Config
    from katana_asgi.http.message import Field

__all__ = ["TRUSTED", "Identified", "identified", "own_fields"]

TRUSTED: Final = "katana_asgi.trusted"
"""The key under which a scope tells the wrapper, and nobody else, that the peer is trusted."""

NAME: Final = b"x-request-id"

_STARTS: Final = frozenset(
    {"http.response.start", "websocket.http.response.start", "websocket.accept"}
)

_match_id: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}").fullmatch
"""What is taken from a trusted peer: nothing that means something in a log, and not too long."""


def identified(config: Config, application: ASGIApplication) -> ASGIApplication:
    """``application``, within ``Identified`` where the settings ask for what that does."""
    if config.request_id == "off" and not config.server_timing:
        return application
    return Identified(application, ids=config.request_id != "off", timing=config.server_timing)


class Identified:
    """Gives each request of an application an id, and its response the fields that tell."""

    def __init__(self, application: ASGIApplication, *, ids: bool, timing: bool) -> None:
        self._application = application
        self._ids = ids
        self._timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        named = (NAME, self._identify(scope).encode("ascii")) if self._ids else None
        timing = self._timing
        began = time.perf_counter() if timing else 0.0

        def send_with_fields(message: Message) -> Awaitable[None]:
            if message["type"] in _STARTS:
                headers = list(message.get("headers", ()))
                if named is not None and not _has_id(headers):
                    headers.append(named)
                if timing:
                    spent = (time.perf_counter() - began) * 1e3
                    headers.append((b"server-timing", b"app;dur=%.3f" % spent))
                message = {**message, "headers": headers}
            return send(message)

        await self._application(scope, receive, send_with_fields)

    @staticmethod
    def _identify(scope: Scope) -> str:
        """Find or make the id, and put it where it belongs."""
        trusted = scope.pop(TRUSTED, False)
        headers = scope["headers"]
        given = field_value(headers, NAME) if trusted else None
        if given is not None and _match_id(given):
            chosen = given.decode("ascii")
        else:
            chosen = secrets.token_hex(16)
        parent = field_value(headers, b"traceparent")
        if parent is not None:
            request_ids.parent.set(parent)
        scope["state"]["request_id"] = chosen
        request_ids.request_id.set(chosen)
        return chosen


def _has_id(headers: list[Field]) -> bool:
    """Whether the application has sent an id of its own, in whatever case."""
    return NAME in [name.lower() for name, _ in headers]


def own_fields() -> tuple[Field, ...]:
    """X-Request-ID for a response that the server makes instead of the application."""
    chosen = request_ids.request_id.get()
    return () if chosen is None else ((NAME, chosen.encode("ascii")),)
