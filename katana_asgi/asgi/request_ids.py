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

from katana_asgi.http.trace_context import trace_id
from katana_asgi.observe import request_ids

if TYPE_CHECKING:
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
        fields: list[Field] = []
        if self._ids:
            fields.append((NAME, self._identify(scope).encode("ascii")))
        began = time.perf_counter()
        timing = self._timing

        async def send_with_fields(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = list(message.get("headers", ()))
                if not any(name.lower() == NAME for name, _ in headers):
                    headers += fields
                if timing:
                    spent = (time.perf_counter() - began) * 1e3
                    headers.append((b"server-timing", b"app;dur=%.3f" % spent))
                message = {**message, "headers": headers}
            await send(message)

        await self._application(scope, receive, send_with_fields)

    @staticmethod
    def _identify(scope: Scope) -> str:
        """Find or make the id, and put it where it belongs."""
        trusted = scope.pop(TRUSTED, False)
        chosen = ""
        for name, value in scope["headers"]:
            if name == NAME and trusted and _match_id(value):
                chosen = value.decode("ascii")
            elif name == b"traceparent":
                request_ids.trace.set(trace_id(value))
        chosen = chosen or secrets.token_hex(16)
        scope["state"]["request_id"] = chosen
        request_ids.request_id.set(chosen)
        return chosen


def own_fields() -> tuple[Field, ...]:
    """X-Request-ID for a response that the server makes instead of the application."""
    chosen = request_ids.request_id.get()
    return () if chosen is None else ((NAME, chosen.encode("ascii")),)
