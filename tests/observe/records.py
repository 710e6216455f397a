"""Records of exchanges that nobody had, and the lines they become."""

from __future__ import annotations

import time
from typing import Any

from katana_asgi.http.message import Framing, RequestHead
from katana_asgi.http.target import parse_target
from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.record import NAMES, Record

CLIENT = ("127.0.0.1", 4711)


def head(target: bytes = b"/a?b=c", *fields: tuple[bytes, bytes], **more: Any) -> RequestHead:
    """A request head."""
    method, version = more.get("method", "GET"), more.get("version", "1.1")
    framing = Framing(True, forwarded=any(name == b"x-forwarded-for" for name, _ in fields))
    return RequestHead(method, target, version, parse_target(target, method), list(fields), framing)


def record(target: bytes = b"/a?b=c", **changes: Any) -> Record:
    """A record; each member can be another."""
    now = time.perf_counter()
    values: dict[str, Any] = {
        "ended": now,
        "began": now,
        "client": CLIENT,
        "scheme": "http",
        "head": head(target),
        "status": 200,
        "fields": None,
        "sent": 0,
        "received": 0,
        "request_id": None,
        "remark": "",
        "messages": None,
    }
    values.update(changes)
    return tuple(values[name] for name in NAMES)  # type: ignore[return-value]


def line(given: Record, form: str = "short", *arguments: Any) -> str:
    """The line of one record."""
    offset = time.time() - time.perf_counter()
    (made,) = AccessFormat(form, *arguments).lines([given], offset)
    return made
