"""Request heads as the HTTP/1.1 parser hands them over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.http.fields import list_members
from katana_asgi.http.message import Framing, RequestHead
from katana_asgi.http.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable


def request_head(
    fields: Iterable[tuple[bytes, bytes]],
    *,
    method: str = "GET",
    version: str = "1.1",
    content_length: int | None = None,
) -> RequestHead:
    """A request for /chat; its ``upgrade`` is set where Connection names it."""
    fields = list(fields)
    connection = [
        part for name, value in fields if name == b"connection" for part in list_members(value)
    ]
    upgrade = b",".join(value for name, value in fields if name == b"upgrade")
    framing = Framing(
        True, content_length, upgrade=upgrade if upgrade and b"upgrade" in connection else None
    )
    return RequestHead(method, b"/chat", version, parse_target(b"/chat", method), fields, framing)
