"""An access log line as a record of Python's logging, for handlers, filters and formatters.

Made only where such a thing is set: the server's own handlers write lines in batches.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.codec import field_value
from katana_asgi.observe.escapes import as_text
from katana_asgi.observe.loggers import ACCESS
from katana_asgi.observe.record import PROTOCOLS

if TYPE_CHECKING:
    from katana_asgi.observe.access_values import Values
    from katana_asgi.observe.record import Record

__all__ = ["ACCESS_ATTRIBUTES", "AccessRecord"]

MESSAGE: Final = '%s - "%s %s HTTP/%s" %d'
"""uvicorn's; filters and formatters read the arguments by their position."""

ACCESS_ATTRIBUTES: Final = (
    "client", "method", "target", "path", "query", "protocol", "status", "duration", "bytes_in",
    "bytes_out", "messages_in", "messages_out", "tls", "remark", "cache", "host", "referer",
    "user_agent", "request_id", "trace_id",
)  # fmt: skip
"""What a record says of the request; the names are those of access log formats."""

CHANGEABLE: Final = ("client", "method", "target", "path", "query", "status")
"""Attributes that ``args`` say as well."""


class AccessRecord(logging.LogRecord):
    """One request. ``args`` are uvicorn's: client, method, target, HTTP version, status.

    ``getMessage`` returns the line as the settings of the access log want it; a filter may change
    ``line``, or ``args`` and ``msg`` as it did with uvicorn. Text of the client is escaped
    everywhere, so that no formatter can be fooled.
    """

    def __init__(self, line: str, values: Values, made_of: Record) -> None:
        whom, scheme, head, status, _, sent, received, remark, messages, cache = made_of[:10]
        ended, duration, request_id = made_of[10:]
        client = _text(values.client(whom))
        method = "WebSocket" if messages is not None else head.method
        target = _text(values.redaction.target(head.target)) or "-"
        protocol = PROTOCOLS[head.version]
        version = protocol.removeprefix("HTTP/")
        arguments = (client or "-", method, target, version, status)
        super().__init__(ACCESS, logging.INFO, "", 0, MESSAGE, arguments, None)
        self._known: Any = arguments
        factory = logging.getLogRecordFactory()
        if factory is not logging.LogRecord:  # which a program has set to add what it wants to see
            made = factory(ACCESS, logging.INFO, "", 0, MESSAGE, arguments, None)
            vars(self).update({**vars(made), **vars(self)})
        self.line = line
        self.created = ended = ended or time.time()
        self.msecs = int(ended * 1000) % 1000 + 0.0
        self.client = client
        self.method = method
        self.target = target
        self.path = _text(head.raw_path)
        self.query = _text(values.query(head)) if head.query else ""
        self.protocol = protocol
        self.status = status
        self.duration = round(duration, 6) or None
        self.bytes_in = received
        self.bytes_out = sent
        self.messages_in = messages[0] if messages else None
        self.messages_out = messages[1] if messages else None
        self.tls = scheme in ("https", "wss")
        self.remark = remark or None
        self.cache = cache
        self.host = _text(field_value(head.fields, b"host"))
        referer = field_value(head.fields, b"referer")
        show = values.request_field(b"referer")
        self.referer = _text(referer if show is None else show(referer))
        self.user_agent = _text(field_value(head.fields, b"user-agent"))
        self.request_id = str(request_id) if request_id else None
        self.trace_id = values.trace_id(field_value(head.fields, b"traceparent"))

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        """The line, without what a filter has masked in ``args``."""
        if self.args is not self._known or self.msg != MESSAGE:
            self._adopt_changes()
        return self.line

    def _adopt_changes(self) -> None:
        """A filter has set ``args`` or ``msg``: line and attributes say what they say."""
        arguments = self.args
        same = isinstance(arguments, tuple) and len(arguments) == len(self._known)
        if self.msg != MESSAGE or not same:
            self.line = super().getMessage()
            return
        values: Any = arguments
        before = (self.client or "-", self.target, self.query)
        self._known = self.args
        self.client, self.method, self.target, _, self.status = values
        self.path, _, self.query = str(self.target).partition("?")
        self.line = self._as_json() or self._replaced(*before) or super().getMessage()

    def _as_json(self) -> str:
        """A line in JSON with the values of now; empty where it is none."""
        if not self.line.startswith("{"):
            return ""
        entry = json.loads(self.line)
        entry |= {name: getattr(self, name) for name in CHANGEABLE if name in entry}
        return json.dumps(entry)

    def _replaced(self, client: str, target: str, query: str | None) -> str:
        """The line with another client and target; empty where a part of those before stays."""
        line = self.line
        secrets = []
        if self.target != target:
            line = line.replace(target, str(self.target))
            secrets += [query or target]
        if self.client != client:
            line = line.replace(client, str(self.client))
            secrets += [client.rpartition(":")[0] or client]
        return "" if any(each in line for each in secrets) else line


def _text(value: Any) -> str | None:
    return None if value is None else as_text(value)
