"""Request heads: from bytes to ``RequestHead`` (RFC 9112 §2 to §5); the twin of the C scanner.

A whole head is parsed at once, whatever the reads were, so the way its bytes were split cannot
change what is accepted. Who splits the field lines may differ (``scan_head_with``); what is
checked before and what the fields mean is the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.codec.framing import judge
from katana_asgi.codec.grammar import TOKEN, is_token
from katana_asgi.codec.target import parse_target
from katana_asgi.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.codec.framing import Field

__all__ = [
    "FieldParser",
    "RequestHead",
    "check_field_bytes",
    "check_sizes",
    "parse_fields",
    "scan_head",
    "scan_head_with",
    "scan_next",
    "split_request_line",
]

FieldParser: TypeAlias = "Callable[[bytes], list[Field]]"
"""The bytes of a header section, the empty line included, to its fields.

Names come lower-cased, values trimmed. Raises ``RemoteProtocolError``."""

_match_request_line: Final = re.compile(
    rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % TOKEN
).fullmatch

_FIELD_BYTES: Final = bytes({*range(0x20, 0x100), 0x09} - {0x7F})
"""VCHAR, obs-text, SP and HTAB: all that may stand in a field line besides its CRLF."""


class RequestHead:
    """A parsed and validated request head, whatever the protocol version (RFC 9110 §6.2).

    ``target`` is the request target as sent, ``version`` "1.1", "1.0" or "2". ``scheme`` and
    ``authority`` are those that the target named, "" and ``None`` where it named none. ``path``
    is percent-decoded, ``raw_path`` as sent without the query. ``fields`` keeps order and
    duplicates, names lower-cased, values trimmed; an authority in the target replaces Host
    (RFC 9112 §3.2.2). ``content_length`` is 0 where no content follows and ``None`` where its
    length is unknown. ``forwarded`` are the indexes in ``fields`` of the forwarding fields.

    Heads are not changed once they are made; what an application may change is copied first.
    """

    __slots__ = (
        "authority",
        "content_length",
        "fields",
        "forwarded",
        "method",
        "path",
        "query",
        "raw_path",
        "scheme",
        "target",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        version: str,
        scheme: str,
        authority: bytes | None,
        path: str,
        raw_path: bytes,
        query: bytes,
        fields: list[Field],
        content_length: int | None,
        forwarded: tuple[int, ...],
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.raw_path = raw_path
        self.query = query
        self.fields = fields
        self.content_length = content_length
        self.forwarded = forwarded

    @property
    def has_content(self) -> bool:
        """Whether content follows, of a known length or not."""
        return self.content_length != 0


def check_sizes(
    beginning: bytes | bytearray,
    line_end: int,
    lines: int,
    max_line: int,
    max_size: int,
    max_count: int,
) -> None:
    """Refuse a head, or the beginning of one, that is over a limit.

    ``line_end`` is where the request line ends (-1: not yet), ``lines`` the line ends from there
    on. ``max_line`` counts the bytes of the request line, ``max_size`` those of the header
    section, ``max_count`` its lines. Raises ``RemoteProtocolError``: 414, 431, or 501 where the
    method alone is over the limit (RFC 9112 §3).
    """
    size = len(beginning)
    # Without its CRLF, of which the CR may have come already.
    if line_end > max_line or (line_end < 0 and size > max_line + 1):
        if is_token(bytes(beginning[: max_line + 1])):
            raise RemoteProtocolError("method not supported", 501)
        raise RemoteProtocolError("request line too long", 414)
    if line_end < 0:
        return
    if size - line_end > max_size:
        raise RemoteProtocolError("header section too large", 431)
    # One CRLF ends the request line, one more the section.
    if lines > max_count + 2:
        raise RemoteProtocolError("too many header fields", 431)


def split_request_line(line: bytes) -> tuple[str, bytes, str]:
    """Take a request line (without its CRLF) apart: method, target, version.

    A later minor version of HTTP/1 is served as 1.1 (RFC 9110 §2.5). Raises
    ``RemoteProtocolError``: 400, or 505 for another major version.
    """
    match = _match_request_line(line)
    if match is None:
        raise RemoteProtocolError("invalid request line")
    if match[3] != b"1":
        raise RemoteProtocolError("HTTP version not supported", 505)
    return match[1].decode("ascii"), match[2], "1.0" if match[4] == b"0" else "1.1"


def check_field_bytes(lines: bytes) -> None:
    """Refuse control bytes, bare CR, bare LF and folded lines in ``lines`` (RFC 9112 §2.2, §5.2).

    ``lines`` is any number of complete field lines, each with its CRLF.
    """
    # What is left of the lines without what may stand in them is as many CRLF as they have.
    if lines.translate(None, _FIELD_BYTES) != b"\r\n" * lines.count(b"\r\n"):
        raise RemoteProtocolError("invalid bytes in a field line")
    if lines.find(b"\n ") >= 0 or lines.find(b"\n\t") >= 0 or lines[:1] in (b" ", b"\t"):
        raise RemoteProtocolError("folded field line")


def parse_fields(section: bytes) -> list[Field]:
    """The fields of a whole header section that passed ``check_field_bytes``: a ``FieldParser``."""
    fields = []
    for line in section[:-4].split(b"\r\n") if len(section) > 2 else ():
        name, colon, value = line.partition(b":")
        if not colon or not is_token(name):
            raise RemoteProtocolError("invalid head")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def scan_head_with(
    parse_fields: FieldParser,
    head: bytes,
    max_line: int,
    max_size: int,
    max_count: int,
    make: Callable[..., RequestHead] = RequestHead,
) -> tuple[RequestHead, int]:
    """Parse and judge a whole head, its CRLFCRLF included; field lines are split by a back end.

    Returns the head and its framing bits (``KEEP_ALIVE`` and so on). Limits are those of
    ``check_sizes``. Raises ``RemoteProtocolError`` with the status the head deserves.
    """
    line_end = head.find(b"\r\n")
    check_sizes(head, line_end, head.count(b"\n", line_end), max_line, max_size, max_count)
    method, target, version = split_request_line(head[:line_end])
    scheme, authority, path, raw_path, query = parse_target(target, method)
    section = head[line_end + 2 :]
    check_field_bytes(section)
    fields = parse_fields(section)
    framing, content_length, forwarded = judge(fields, version)
    if authority is not None:
        had_host = len(fields)
        fields = _with_host(fields, authority)
        if len(fields) > had_host:
            forwarded = tuple([index + 1 for index in forwarded])
    made = make(
        method,
        target,
        version,
        scheme,
        authority,
        path,
        raw_path,
        query,
        fields,
        content_length,
        forwarded,
    )
    return made, framing


def scan_head(head: bytes, max_line: int, max_size: int, max_count: int) -> tuple[RequestHead, int]:
    """``scan_head_with`` this module's own parser of fields."""
    return scan_head_with(parse_fields, head, max_line, max_size, max_count)


def scan_next(
    data: bytes, start: int, max_line: int, max_size: int, max_count: int
) -> tuple[RequestHead, int, int] | None:
    """``scan_head`` of what begins at ``start``, and the offset of what follows.

    ``None`` where it has not come whole.
    """
    end = data.find(b"\r\n\r\n", start) + 4
    if end < 4:
        return None
    return (*scan_head(data[start:end], max_line, max_size, max_count), end)


def _with_host(fields: list[Field], authority: bytes) -> list[Field]:
    host = (b"host", authority)
    replaced = [host if field[0] == b"host" else field for field in fields]
    return replaced if host in replaced else [host, *replaced]
