"""Header sections by h11, the strict back end; the only module that knows the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

from katana_asgi.errors import RemoteProtocolError

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = ["parse_fields"]

_NO_LIMIT: Final = 2**31
"""The parser has checked the size of the head before."""

_REQUEST_LINE: Final = b"GET / HTTP/1.0\r\n"
"""A request line under which h11 asks for no Host: what is missing is judged in ``head.py``."""

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})


def parse_fields(section: bytes) -> list[Field]:
    """The fields of a whole header section; the ``FieldParser`` of this back end.

    h11 checks the grammar of every line. What framing fields say is judged in ``head.py``, on
    the values as they were sent: h11 would judge some of them in another order, and rewrite
    others.
    """
    lines = section[:-4].split(b"\r\n") if len(section) > 2 else []
    pairs = [line.partition(b":") for line in lines]
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    checked = [
        # Under another name a framing field is a line like any other.
        b"x-" + line if field[0] in _FRAMING else line
        for line, field in zip(lines, fields, strict=True)
    ]
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_NO_LIMIT)
    connection.receive_data(
        _REQUEST_LINE + b"".join([line + b"\r\n" for line in checked]) + b"\r\n"
    )
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise RemoteProtocolError("invalid head") from error
    if not isinstance(event, h11.Request) or len(list(event.headers)) != len(fields):
        raise RemoteProtocolError("invalid head")
    return fields
