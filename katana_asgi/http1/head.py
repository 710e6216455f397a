"""From the lines of a request head to a ``RequestHead``: the rules both back ends share.

A back end splits bytes into method, target, version and fields; everything that decides
framing, routing and persistence is decided here, once (RFC 9112 §3, §6, §9; RFC 9110 §7, §10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.codec import framing
from katana_asgi.codec.framing import FORWARDED_FIELDS
from katana_asgi.codec.heads import FieldParser, check_field_bytes, split_request_line
from katana_asgi.http.message import Field, Framing, RequestHead
from katana_asgi.http.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.http1.limits import HeadLimits

__all__ = [
    "EXAMINED",
    "FieldParser",
    "check_field_bytes",
    "judge",
    "read_head",
    "split_request_line",
]

EXAMINED: Final = FORWARDED_FIELDS | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"upgrade",
}
"""The fields that decide anything for the server; all others are the application's."""


def read_head(head: bytes, parse_fields: FieldParser, limits: HeadLimits) -> RequestHead:
    """Parse and judge a whole head.

    Raises ``RemoteProtocolError`` with the status the head deserves.
    """
    limits.check(head)
    line_end = head.find(b"\r\n")
    method, target, version = split_request_line(head[:line_end])
    parsed = parse_target(target, method)
    section = head[line_end + 2 :]
    check_field_bytes(section)
    fields = parse_fields(section)
    examined = [field for field in fields if field[0] in EXAMINED]
    return RequestHead(method, target, version, parsed, fields, judge(examined, version))


def judge(fields: Iterable[Field], version: str) -> Framing:
    """What the examined fields say together, for a request of this version.

    Raises ``RemoteProtocolError`` where they contradict the RFC or each other.
    """
    fields = list(fields)
    bits, length, forwarded = framing.judge(fields, version)
    upgrade = b",".join([value for name, value in fields if name == b"upgrade"])
    announced = any(name == b"content-length" for name, _ in fields)
    return Framing(
        bool(bits & framing.KEEP_ALIVE),
        length if announced else None,
        bool(bits & framing.CHUNKED),
        bool(bits & framing.EXPECT_CONTINUE),
        upgrade if bits & framing.UPGRADE else None,
        bool(forwarded),
    )
