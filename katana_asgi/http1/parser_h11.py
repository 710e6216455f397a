"""Heads by h11, the strict back end; the only module that knows the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.target import parse_target
from katana_asgi.http1.head import EXAMINED, judge, split_request_line

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = ["parse_fields"]

_NO_LIMIT: Final = 2**31
"""The parser has checked the size of the head before."""


def parse_fields(head: bytes) -> list[Field]:
    """The fields of a whole head; the ``FieldParser`` of this back end."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_NO_LIMIT)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        _speak_first(head)
        raise RemoteProtocolError("invalid head") from error
    if not isinstance(event, h11.Request):
        raise RemoteProtocolError("invalid head")
    return list(event.headers)


def _speak_first(head: bytes) -> None:
    """h11 judges framing too, always with 400; where our rules know better, they speak first."""
    request_line, *lines = head[:-4].split(b"\r\n")
    method, target, version = split_request_line(request_line)
    pairs = (line.partition(b":") for line in lines)
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    judge([field for field in fields if field[0] in EXAMINED], version)
    parse_target(target, method)
