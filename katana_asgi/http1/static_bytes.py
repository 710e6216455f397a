"""Static responses as HTTP/1.1 sends them: whole, rendered once a second at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.bounded import COPIED_UP_TO
from katana_asgi.http1.default_lines import field_lines
from katana_asgi.http1.status_lines import status_line

if TYPE_CHECKING:
    from katana_asgi.http1.default_lines import DefaultLines
    from katana_asgi.routes.static import StaticResponse

__all__ = ["static_bytes", "static_head"]

ROOM: Final = "http1"


class _Rendered:
    """What was made of one static response; the part that never changes is kept apart."""

    __slots__ = ("end", "first", "head", "stamp", "whole")

    def __init__(self, response: StaticResponse) -> None:
        self.first = status_line(response.status) + field_lines(response.pairs)
        self.stamp: object = None  # the default lines that ``whole`` was rendered with
        self.whole: dict[int, bytes] = {}  # by how the connection goes on
        self.head = b""  # the last one rendered alone, and how its connection went on
        self.end = -1


def static_bytes(response: StaticResponse, defaults: DefaultLines, end: int) -> bytes:
    """The whole response; ``end`` says what becomes of the connection (see ``DefaultLines``).

    It is kept, but not for what a bounded memory holds: of that, one copy of little content.
    """
    rendered = _rendered(response, defaults)
    whole = rendered.whole.get(end)
    if whole is None:
        last = _last_lines(response, defaults, end)
        whole = b"".join((rendered.first, last, response.content))
        if response.lasting:
            rendered.whole[end] = whole
        elif len(response.content) <= COPIED_UP_TO:
            rendered.whole = {end: whole}
    return whole


def static_head(response: StaticResponse, defaults: DefaultLines, end: int) -> bytes:
    """The head of the response alone, for content that is not worth a copy."""
    rendered = _rendered(response, defaults)
    if rendered.end != end:
        rendered.head = rendered.first + _last_lines(response, defaults, end)
        rendered.end = end
    return rendered.head


def _rendered(response: StaticResponse, defaults: DefaultLines) -> _Rendered:
    rendered: _Rendered | None = response.rendered.get(ROOM)
    if rendered is None:
        rendered = response.rendered[ROOM] = _Rendered(response)
    if rendered.stamp is not defaults.variants:
        rendered.stamp = defaults.variants
        rendered.whole = {}
        rendered.end = -1
    return rendered


def _last_lines(response: StaticResponse, defaults: DefaultLines, end: int) -> bytes:
    own = response.own
    return defaults.without(own, end) if own else defaults.variants[end]
