"""A line for each request whose application call took too long (setting ``slow_request``).

The stack of a blocked loop is the business of ``observe/watchdog.py``.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Receive, Scope, Send

__all__ = ["request_line", "with_slow_request_log"]

logger = logging.getLogger("katana_asgi.error")


def with_slow_request_log(application: ASGIApplication, limit: float) -> ASGIApplication:
    """Log HTTP requests that keep the application for more than ``limit`` seconds."""

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        # Taken before: the application may change its scope.
        line = scope["method"], scope["raw_path"], scope["query_string"]
        started = time.monotonic()
        try:
            await application(scope, receive, send)
        finally:
            duration = time.monotonic() - started
            if duration > limit:
                logger.warning("Slow request: %s took %.3f s", request_line(*line), duration)

    return timed


def request_line(method: str, path: bytes, query: bytes) -> str:
    """Method and target as printable ASCII; what a client could fool a log with is escaped."""
    target = path + b"?" + query if query else path
    return f"{method} {ascii(target.decode('latin-1'))[1:-1]}"
