"""Records of exchanges that nobody had, and the lines they become."""

from __future__ import annotations

import time
from typing import Any

from katana_asgi.http.message import RequestHead
from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.record import NAMES, Outcome, Record
from tests.heads import request_head

CLIENT = ("127.0.0.1", 4711)


def head(target: bytes = b"/a?b=c", *fields: tuple[bytes, bytes], **more: Any) -> RequestHead:
    """A request head."""
    return request_head(target, *fields, **more)


def outcome(target: bytes = b"/a?b=c", **changes: Any) -> Outcome:
    """An outcome; each member can be another."""
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
    }
    values.update(changes)
    return tuple(values[name] for name in NAMES)  # type: ignore[return-value]


def record(
    target: bytes = b"/a?b=c",
    *,
    ended: float | None = None,
    began: float | None = None,
    request_id: object = None,
    **changes: Any,
) -> Record:
    """A record of now; each member of it, and of its outcome, can be another."""
    now = time.perf_counter()
    times = [now if each is None else each for each in (ended, began)]
    return (outcome(target, **changes), *times, request_id)  # type: ignore[return-value]


def line(given: Record, form: str = "short", *arguments: Any) -> str:
    """The line of one record."""
    (made,) = lines([given], AccessFormat(form, *arguments))
    return made


def lines(given: list[Record], form: AccessFormat) -> list[str]:
    """The lines of records."""
    offset = time.time() - (time.perf_counter() if form.timed else 0.0)
    return form.lines(given if form.varies else [record[0] for record in given], offset)
