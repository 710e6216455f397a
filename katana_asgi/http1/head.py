"""From the lines of a request head to a ``RequestHead``: the rules both back ends share.

A back end splits bytes into method, target, version and fields; everything that decides
framing, routing and persistence is decided here, once (RFC 9112 §3, §6, §9; RFC 9110 §7, §10).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import TOKEN, is_valid_host, list_members
from katana_asgi.http.forwarded import FORWARDED_FIELDS
from katana_asgi.http.message import Field, Framing, RequestHead
from katana_asgi.http.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.http1.limits import HeadLimits

__all__ = [
    "EXAMINED",
    "FieldParser",
    "check_field_bytes",
    "judge",
    "read_head",
    "split_request_line",
]

FieldParser: TypeAlias = "Callable[[bytes], list[Field]]"
"""A back end: the bytes of a header section, the empty line included, to its fields.

Names come lower-cased, values trimmed. Raises ``RemoteProtocolError``."""


_match_request_line: Final = re.compile(
    rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % TOKEN
).fullmatch
_match_content_length: Final = re.compile(rb"[0-9]{1,18}").fullmatch
"""Eighteen digits: anything longer is not a length but an attempt at an overflow."""

_FIELD_BYTES: Final = bytes({*range(0x20, 0x100), 0x09} - {0x7F})
"""VCHAR, obs-text, SP and HTAB: all that may stand in a field line besides its CRLF."""

_VERSIONS: Final = {(b"1", b"1"): "1.1", (b"1", b"0"): "1.0"}

EXAMINED: Final = FORWARDED_FIELDS | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"upgrade",
}
"""The fields that decide anything for the server; all others are the application's."""


def split_request_line(line: bytes) -> tuple[str, bytes, str]:
    """Take a request line (without its CRLF) apart: method, target, version.

    Raises ``RemoteProtocolError``: 400, or 505 for a version that is not 1.0 or 1.1.
    """
    match = _match_request_line(line)
    if match is None:
        raise RemoteProtocolError("invalid request line")
    version = _VERSIONS.get((match[3], match[4]))
    if version is None:
        raise RemoteProtocolError("HTTP version not supported", 505)
    return match[1].decode("ascii"), match[2], version


def check_field_bytes(lines: bytes) -> None:
    """Refuse control bytes, bare CR, bare LF and folded lines in ``lines`` (RFC 9112 §2.2, §5.2).

    ``lines`` is any number of complete field lines, each with its CRLF.
    """
    # What is left of the lines without what may stand in them is as many CRLF as they have.
    if lines.translate(None, _FIELD_BYTES) != b"\r\n" * lines.count(b"\r\n"):
        raise RemoteProtocolError("invalid bytes in a field line")
    if b"\n " in lines or b"\n\t" in lines or lines[0] in b" \t":
        raise RemoteProtocolError("folded field line")


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
    framing = judge([field for field in fields if field[0] in EXAMINED], version)
    return RequestHead(method, target, version, parsed, fields, framing)


def judge(fields: Iterable[Field], version: str) -> Framing:
    """What the examined fields say together, for a request of this version.

    Raises ``RemoteProtocolError`` where they contradict the RFC or each other.
    """
    examined = _Examined(fields)
    _check_host(examined.host, version)
    chunked = _is_chunked(examined, version)
    return Framing(
        _keeps_alive(examined.connection, version),
        _content_length(examined.length),
        chunked,
        _expects_continue(examined.expect, version),
        examined.upgrade if b"upgrade" in examined.connection else None,
        examined.forwarded,
    )


class _Examined:
    """What the fields that matter to the server say, gathered in one pass."""

    __slots__ = ("connection", "expect", "forwarded", "host", "length", "transfer", "upgrade")

    def __init__(self, fields: Iterable[Field]) -> None:
        self.host: bytes | None = None
        self.length: bytes | None = None
        self.transfer: bytes | None = None
        self.connection: list[bytes] = []
        self.expect: bytes | None = None
        self.upgrade: bytes | None = None
        self.forwarded = False
        for name, value in fields:
            self._examine(name, value)

    def _examine(self, name: bytes, value: bytes) -> None:
        if name in FORWARDED_FIELDS:
            self.forwarded = True
        elif name == b"connection":
            self.connection += list_members(value)
        elif name == b"host":
            self.host = self._single(self.host, value)
        elif name == b"content-length":
            self.length = self._single(self.length, value)
        elif name == b"transfer-encoding":
            self.transfer = self._single(self.transfer, value)
        elif name == b"expect":
            self.expect = value if self.expect is None else self.expect + b"," + value
        else:
            self.upgrade = value if self.upgrade is None else self.upgrade + b"," + value

    @staticmethod
    def _single(before: bytes | None, value: bytes) -> bytes:
        if before is not None:
            raise RemoteProtocolError("repeated field")
        return value


def _check_host(host: bytes | None, version: str) -> None:
    """RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; at most one in HTTP/1.0."""
    if host is None:
        if version == "1.1":
            raise RemoteProtocolError("missing Host")
    elif not is_valid_host(host):
        raise RemoteProtocolError("invalid Host")


def _is_chunked(examined: _Examined, version: str) -> bool:
    """RFC 9112 §6.1; Transfer-Encoding beside Content-Length or in HTTP/1.0 smells of smuggling."""
    if examined.transfer is None:
        return False
    if examined.length is not None:
        raise RemoteProtocolError("Transfer-Encoding with Content-Length")
    if version == "1.0":
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0")
    if examined.transfer.lower() == b"chunked":
        return True
    codings = list_members(examined.transfer)
    if codings[-1:] != [b"chunked"] or b"chunked" in codings[:-1]:
        # §6.3: nobody can tell where such content ends.
        raise RemoteProtocolError("chunked is not the last transfer coding")
    if len(codings) == 1:
        raise RemoteProtocolError("empty member in Transfer-Encoding")
    raise RemoteProtocolError("transfer coding not supported", 501)


def _content_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if _match_content_length(value) is None:
        raise RemoteProtocolError("invalid Content-Length")
    return int(value)


def _keeps_alive(connection: list[bytes], version: str) -> bool:
    """RFC 9112 §9.3: close wins, 1.1 persists, 1.0 persists when asked."""
    if b"close" in connection:
        return False
    return version == "1.1" or b"keep-alive" in connection


def _expects_continue(expect: bytes | None, version: str) -> bool:
    """RFC 9110 §10.1.1: an HTTP/1.0 client gets no 100; an unknown expectation gets 417."""
    if expect is None or version == "1.0":
        return False
    if expect.lower() != b"100-continue":
        raise RemoteProtocolError("expectation not supported", 417)
    return True
