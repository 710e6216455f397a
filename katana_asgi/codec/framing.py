"""What the few fields that matter to the server say together (RFC 9112 §3.2, §6, §9).

All other fields are the application's; HTTP/2 has other rules for these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.codec.grammar import is_valid_host, list_members
from katana_asgi.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CHUNKED",
    "EXPECT_CONTINUE",
    "FORWARDED_FIELDS",
    "KEEP_ALIVE",
    "TRAILERS",
    "UPGRADE",
    "Field",
    "Framing",
    "judge",
]

Field: TypeAlias = tuple[bytes, bytes]
"""One field line (RFC 9110 §5): a lower-cased name and its value, both bytes."""

KEEP_ALIVE: Final = 1
"""The connection may serve another request after this one (RFC 9112 §9.3)."""
CHUNKED: Final = 2
"""The content is chunk-coded (RFC 9112 §7.1)."""
EXPECT_CONTINUE: Final = 4
"""The client waits for a 100 before it sends the content (RFC 9110 §10.1.1)."""
UPGRADE: Final = 8
"""There is an Upgrade field, and Connection names it (RFC 9110 §7.8)."""
TRAILERS: Final = 16
"""The client wants trailer fields, if there are any (RFC 9110 §10.1.4)."""

FORWARDED_FIELDS: Final = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
    }
)
"""The fields in which proxies name the client; a head without any of them need not be resolved."""

Framing: TypeAlias = tuple[int, int | None, tuple[int, ...]]
"""Bits (``KEEP_ALIVE`` and so on), the length of the content, where forwarding fields stand.

The length is 0 where no content follows and ``None`` where chunks will tell.
"""

_match_content_length: Final = re.compile(rb"[0-9]{1,18}").fullmatch
"""Eighteen digits: anything longer is not a length but an attempt at an overflow."""

_EXAMINED: Final = FORWARDED_FIELDS | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"te",
    b"upgrade",
}


def judge(fields: Iterable[Field], version: str) -> Framing:
    """What ``fields`` decide for the server in a request of HTTP/1, ``version`` "1.0" or "1.1".

    Raises ``RemoteProtocolError`` where they contradict the RFC or each other.
    """
    values: dict[bytes, bytes] = {}
    forwarded = []
    for index, (name, value) in enumerate(fields):
        if name not in _EXAMINED:
            continue
        if name in FORWARDED_FIELDS:
            forwarded.append(index)
        else:
            values[name] = _joined(name, values[name], value) if name in values else value
    _check_host(values.get(b"host"), version)
    connection = list_members(values[b"connection"]) if b"connection" in values else []
    bits = 0
    if b"close" not in connection and (version == "1.1" or b"keep-alive" in connection):
        bits |= KEEP_ALIVE  # RFC 9112 §9.3: close wins, 1.1 persists, 1.0 persists when asked
    length: int | None = 0
    if b"transfer-encoding" in values:
        _check_chunked(values[b"transfer-encoding"], b"content-length" in values, version)
        bits |= CHUNKED
        length = None
    elif b"content-length" in values:
        length = _content_length(values[b"content-length"])
    if b"expect" in values and _expects_continue(values[b"expect"], version):
        bits |= EXPECT_CONTINUE
    if b"upgrade" in values and b"upgrade" in connection:
        bits |= UPGRADE
    if b"te" in values and version == "1.1" and b"trailers" in list_members(values[b"te"]):
        bits |= TRAILERS
    return bits, length, tuple(forwarded)


def _joined(name: bytes, before: bytes, value: bytes) -> bytes:
    """RFC 9110 §5.3: the lines of a list are one list; what is no list must not be repeated."""
    if name in (b"host", b"content-length"):
        raise RemoteProtocolError("repeated field")
    return before + b"," + value


def _check_host(host: bytes | None, version: str) -> None:
    """RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; at most one in HTTP/1.0."""
    if host is None:
        if version == "1.1":
            raise RemoteProtocolError("missing Host")
    elif not is_valid_host(host):
        raise RemoteProtocolError("invalid Host")


def _check_chunked(transfer: bytes, length: bool, version: str) -> None:
    """RFC 9112 §6.1; Transfer-Encoding beside Content-Length or in HTTP/1.0 smells of smuggling."""
    if length:
        raise RemoteProtocolError("Transfer-Encoding with Content-Length")
    if version == "1.0":
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0")
    if transfer.lower() == b"chunked":
        return
    codings = [coding.strip(b" \t") for coding in transfer.lower().split(b",")]
    if b"" in codings:
        raise RemoteProtocolError("empty member in Transfer-Encoding")
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        # §6.3: there is no way to tell where such content ends.
        raise RemoteProtocolError("chunked is not the last transfer coding")
    raise RemoteProtocolError("transfer coding not supported", 501)


def _content_length(value: bytes) -> int:
    if _match_content_length(value) is None:
        raise RemoteProtocolError("invalid Content-Length")
    return int(value)


def _expects_continue(expect: bytes, version: str) -> bool:
    """RFC 9110 §10.1.1: an HTTP/1.0 client gets no 100; an unknown expectation gets 417.

    The field is a list, and the same expectation twice is still the one that is known.
    """
    if version == "1.0":
        return False
    if set(list_members(expect)) != {b"100-continue"}:
        raise RemoteProtocolError("expectation not supported", 417)
    return True
