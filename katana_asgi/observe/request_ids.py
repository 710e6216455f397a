"""The id of the request that is being answered, for log records of the server and the application.

``RequestIdFilter`` puts ``request_id`` and ``trace_id`` into records; ``None`` outside a request.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any, Final

from katana_asgi.http.trace_context import trace_id

__all__ = ["RequestIdFilter", "parent", "request_id", "request_id_of"]

request_id: Final[ContextVar[str | None]] = ContextVar("katana_asgi.request_id", default=None)
parent: Final[ContextVar[bytes]] = ContextVar("katana_asgi.traceparent", default=b"")


class RequestIdFilter(logging.Filter):
    """Lets every record pass; for handlers, the server's own and those of ``--log-config``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put both ids into the record, unless it has them as those of the access log."""
        if not hasattr(record, "request_id"):
            record.request_id = request_id.get()
            record.trace_id = trace_id(parent.get())
        return True


def request_id_of(scope: dict[str, Any]) -> object:
    """The id of a request, as far as the application has left it in its scope."""
    state = scope.get("state")
    return state.get("request_id") if isinstance(state, dict) else None
