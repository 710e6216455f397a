"""Records of exchanges that nobody had, and the lines they become."""

from __future__ import annotations

import time
from typing import Any

from katana_asgi.http.message import RequestHead
from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.record import NAMES, Record
from tests.heads import request_head

CLIENT = ("127.0.0.1", 4711)


def head(target: bytes = b"/a?b=c", *fields: tuple[bytes, bytes], **more: Any) -> RequestHead:
    """A request head."""
    return request_head(target, *fields, **more)


def record(target: bytes = b"/a?b=c", **changes: Any) -> Record:
    """A record of now; each member of it can be another."""
    values: dict[str, Any] = {
        "client": CLIENT,
        "scheme": "http",
        "head": head(target),
        "status": 200,
        "fields": None,
        "sent": 0,
        "received": 0,
        "remark": "",
        "messages": None,
        "cache": None,
        "moment": time.time(),
        "duration": 0.0,
        "request_id": None,
    }
    values.update(changes)
    return tuple(values[name] for name in NAMES)  # type: ignore[return-value]


def line(given: Record, form: str = "short", *arguments: Any) -> str:
    """The line of one record."""
    return AccessFormat(form, *arguments).line(*given)
