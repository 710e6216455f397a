"""The values of an access log line: what each name says of a member of a record."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.http.status import reason_phrase
from katana_asgi.http.trace_context import trace_id
from katana_asgi.observe.escapes import REDACTED, redactor
from katana_asgi.observe.record import NO_HEAD, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from katana_asgi.http.message import RequestHead

__all__ = ["Redaction", "Values", "clock_time", "iso_moment", "note", "phrase"]

_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


class Redaction:
    """What is never written: values of fields, and of query parameters."""

    def __init__(self, headers: Collection[str] = (), query: Collection[str] = ()) -> None:
        self.headers = frozenset(name.lower().encode("ascii") for name in headers)
        self.changes_targets = bool(query)
        self.target: Callable[[bytes], bytes] = redactor(query) or _unchanged

    def query(self, query: bytes) -> bytes:
        """A query, which has no question mark before it."""
        return self.target(b"?" + query)[1:]


class Values:
    """Functions from a member of a record to a value: text, bytes, a number or ``None``."""

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction

    def request_line(self, head: RequestHead) -> bytes:
        """``GET /path HTTP/1.1``; a dash where no request line was understood."""
        if head is NO_HEAD:
            return b"-"
        target = self.redaction.target(head.target)
        return b"%b %b %b" % (head.method.encode(), target, PROTOCOLS[head.version].encode())

    def query(self, head: RequestHead) -> bytes:
        """The query, without its question mark."""
        return self.redaction.query(head.query)

    @staticmethod
    def user(authorization: bytes | None) -> str | None:
        """The user of basic authentication (RFC 7617 §2)."""
        kind, _, token = (authorization or b"").partition(b" ")
        if kind.lower() != b"basic":
            return None
        try:
            return base64.b64decode(token.strip()).partition(b":")[0].decode("utf-8", "replace")
        except binascii.Error:
            return None

    @staticmethod
    def trace_id(traceparent: bytes | None) -> str | None:
        """The id of the trace that ``traceparent`` names."""
        return trace_id(traceparent or b"")

    def request_field(self, name: bytes) -> Callable[[bytes | None], str | bytes | None] | None:
        """What is shown of a field of the request; ``None``: its value."""
        if name in self.redaction.headers:
            return _redacted
        if name != b"referer" or not self.redaction.changes_targets:
            return None
        target = self.redaction.target
        return lambda value: None if value is None else target(value)

    def response_field(self, name: str) -> Callable[[Any], str | bytes | None]:
        """A field of the response: the application's own, or any of the server's own response."""
        wanted = name.encode("ascii")
        hidden = wanted in self.redaction.headers

        def read(sent: Any) -> str | bytes | None:
            if sent is None:
                return None
            value = _value(sent.pairs, wanted)
            return REDACTED if value is not None and hidden else value

        return read

    @staticmethod
    def host(client: Any) -> str | None:
        """The client's address."""
        return None if client is None else str(client[0])

    @staticmethod
    def client(client: Any) -> str | None:
        """The client's address and port; without the port where a proxy does not tell it."""
        if client is None:
            return None
        host, port = client
        if not port:
            return str(host)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def note(remark: str, messages: Any, received: int, sent: int) -> str:
    """The remark at the end of a short line; of a WebSocket all that is known."""
    if messages is None:
        return f" ({remark})" if remark else ""
    return (
        f" ({remark} after {messages[2]:.3f}s, in {messages[0]} messages {received} bytes, "
        f"out {messages[1]} messages {sent} bytes)"
    )


@lru_cache(2)
def clock_time(second: int) -> str:
    """``[10/Oct/2000:13:55:36 -0700]``, in local time and whatever the locale."""
    local = time.localtime(second)
    offset = local.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d}"
    month = _MONTHS[3 * local.tm_mon - 3 : 3 * local.tm_mon]
    date = f"{local.tm_mday:02d}/{month}/{local.tm_year}"
    return f"[{date}:{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} {zone}]"


@lru_cache(2)
def _iso_second(second: int) -> str:
    """``2000-10-10T20:55:36``, in UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_moment(moment: float) -> str:
    """``2000-10-10T20:55:36.123Z``."""
    second, rest = divmod(int(moment * 1e3), 1000)
    return f"{_iso_second(second)}.{rest:03d}Z"


def phrase(status: int) -> bytes:
    """The reason phrase; 499 is one that nobody registered."""
    return b"Client Closed Request" if status == 499 else reason_phrase(status)


def _value(fields: Any, wanted: bytes) -> bytes | None:
    values = [value for name, value in fields if name == wanted]
    return b", ".join(values) if values else None


def _redacted(value: bytes | None) -> str | None:
    return None if value is None else REDACTED


def _unchanged(target: bytes) -> bytes:
    return target
