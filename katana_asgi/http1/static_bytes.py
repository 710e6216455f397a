"""Static responses as HTTP/1.1 sends them: whole, rendered once a second at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http1.default_lines import field_lines
from katana_asgi.http1.status_lines import status_line

if TYPE_CHECKING:
    from katana_asgi.http1.default_lines import DefaultLines
    from katana_asgi.routes.static import StaticResponse

__all__ = ["static_bytes"]

ROOM: Final = "http1"


class _Rendered:
    """What was made of one static response; the part that never changes is kept apart."""

    __slots__ = ("first", "stamp", "whole")

    def __init__(self, response: StaticResponse) -> None:
        self.first = status_line(response.status) + field_lines(response.pairs)
        self.stamp: object = None  # the default lines that ``whole`` was rendered with
        self.whole: dict[int, bytes] = {}  # by how the connection goes on


def static_bytes(response: StaticResponse, defaults: DefaultLines, end: int) -> bytes:
    """The whole response; ``end`` says what becomes of the connection (see ``DefaultLines``)."""
    rendered = response.rendered.get(ROOM)
    if rendered is None:
        rendered = response.rendered[ROOM] = _Rendered(response)
    if rendered.stamp is not defaults.variants:
        rendered.stamp = defaults.variants
        rendered.whole = {}
    whole: bytes | None = rendered.whole.get(end)
    if whole is None:
        own = response.own
        last = defaults.without(own, end) if own else defaults.variants[end]
        whole = rendered.whole[end] = b"".join((rendered.first, last, response.content))
    return whole
