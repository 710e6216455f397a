"""Static responses as HTTP/1.1 sends them: whole, rendered once a second at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http1.default_lines import field_lines
from katana_asgi.http1.status_lines import status_line

if TYPE_CHECKING:
    from katana_asgi.http1.default_lines import DefaultLines
    from katana_asgi.routes.static import StaticResponse

__all__ = ["CLOSE", "KEEP_ALIVE", "PERSISTENT", "static_bytes"]

PERSISTENT: Final = 0  # HTTP/1.1: a connection persists unless someone says close
KEEP_ALIVE: Final = 1  # HTTP/1.0: it persists only where the server says so, too
CLOSE: Final = 2

_ENDS: Final = (b"\r\n", b"connection: keep-alive\r\n\r\n", b"connection: close\r\n\r\n")

ROOM: Final = "http1"


class _Rendered:
    """What was made of one static response; its parts that never change are kept apart."""

    __slots__ = ("first", "last", "stamp", "whole")

    def __init__(self, response: StaticResponse) -> None:
        self.first = status_line(response.status)
        self.last = field_lines(response.pairs)
        self.stamp: object = None  # the default lines that ``whole`` was rendered with
        self.whole: list[bytes | None] = [None, None, None]


def static_bytes(response: StaticResponse, defaults: DefaultLines, persistence: int) -> bytes:
    """The whole response, for a connection that persists or ends behind it."""
    rendered = response.rendered.get(ROOM)
    if rendered is None:
        rendered = response.rendered[ROOM] = _Rendered(response)
    if rendered.stamp is not defaults.variants:
        rendered.stamp = defaults.variants
        rendered.whole = [None, None, None]
    whole: bytes | None = rendered.whole[persistence]
    if whole is None:
        lines = defaults.without(response.own) if response.own else defaults.variants[0]
        whole = rendered.whole[persistence] = b"".join(
            (rendered.first, lines, rendered.last, _ENDS[persistence], response.content)
        )
    return whole
