"""The application that is attacked over HTTP/2: endless answers, calls that stay, and a count."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from benchmarks.apps.plain import Receive, Send
from benchmarks.apps.plain import app as plain

__all__ = ["app"]

FIELDS = [(b"content-type", b"application/octet-stream")]
PIECE = bytes(16 * 1024)
STAYS = 1.0
"""Seconds a call stays that nothing ends, as one does that waits for a database."""

calls = {"most": 0, "all": 0}
"""The most at once on one connection, and all."""
running: Counter[object] = Counter()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path; what is not listed is for the bare application."""
    path = scope.get("path")
    if path == "/calls":
        answer = json.dumps(calls).encode()
        await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
        await send({"type": "http.response.body", "body": answer})
    elif path in ("/stay", "/endless"):
        client = tuple(scope["client"])
        running[client] += 1
        calls["all"] += 1
        calls["most"] = max(calls["most"], running[client])
        try:
            await (asyncio.sleep(STAYS) if path == "/stay" else endless(send))
        finally:
            running[client] -= 1
    else:
        await plain(scope, receive, send)


async def endless(send: Send) -> None:
    """Send for as long as it is taken."""
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    while True:
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
