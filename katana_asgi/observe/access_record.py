"""An access log line as a record of Python's logging, for handlers, filters and formatters.

Made only where such a thing is set: the server's own handlers write lines in batches.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.observe.escapes import as_text
from katana_asgi.observe.loggers import ACCESS
from katana_asgi.observe.record import PROTOCOLS

if TYPE_CHECKING:
    from katana_asgi.observe.access_values import Values
    from katana_asgi.observe.record import Outcome

__all__ = ["ACCESS_ATTRIBUTES", "AccessRecord"]

MESSAGE: Final = '%s - "%s %s HTTP/%s" %d'
"""uvicorn's; filters and formatters read the arguments by their position."""

ACCESS_ATTRIBUTES: Final = (
    "client", "method", "target", "path", "query", "protocol", "status", "duration", "bytes_in",
    "bytes_out", "messages_in", "messages_out", "tls", "remark", "cache", "host", "referer",
    "user_agent", "request_id", "trace_id",
)  # fmt: skip
"""What a record says of the request; the names are those of access log formats."""


class AccessRecord(logging.LogRecord):
    """One request. ``args`` are uvicorn's: client, method, target, HTTP version, status.

    ``getMessage`` returns the line as the settings of the access log want it. Text of the client
    is escaped everywhere, so that no formatter can be fooled.
    """

    def __init__(
        self,
        line: str,
        values: Values,
        outcome: Outcome,
        times: tuple[float, float] | None,
        request_id: object,
        ended: float,
    ) -> None:
        """``times`` are end and begin by ``perf_counter``, ``ended`` is the time of day."""
        whom, scheme, head, status, _, sent, received, remark, messages, cache = outcome
        client = _text(values.client(whom))
        method = "WebSocket" if messages is not None else head.method
        target = _text(values.redaction.target(head.target)) or "-"
        protocol = PROTOCOLS[head.version]
        version = protocol.removeprefix("HTTP/")
        arguments = (client or "-", method, target, version, status)
        super().__init__(ACCESS, logging.INFO, "", 0, MESSAGE, arguments, None)
        self.line = line
        self.created = ended
        self.msecs = int(ended * 1000) % 1000 + 0.0
        self.client = client
        self.method = method
        self.target = target
        self.path = _text(head.raw_path)
        self.query = _text(values.query(head)) if head.query else ""
        self.protocol = protocol
        self.status = status
        self.duration = round(times[0] - times[1], 6) if times else None
        self.bytes_in = received
        self.bytes_out = sent
        self.messages_in = messages[0] if messages else None
        self.messages_out = messages[1] if messages else None
        self.tls = scheme in ("https", "wss")
        self.remark = remark or None
        self.cache = cache
        fields = dict(head.fields)
        self.host = _text(fields.get(b"host"))
        self.referer = _text(values.request_field(b"referer")(fields.get(b"referer")))
        self.user_agent = _text(fields.get(b"user-agent"))
        self.request_id = str(request_id) if request_id else None
        self.trace_id = values.trace_id(fields.get(b"traceparent"))

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        """The line."""
        return self.line


def _text(value: Any) -> str | None:
    return None if value is None else as_text(value)
