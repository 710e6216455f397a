"""The PROXY protocol, versions 1 and 2, as a pure parser: bytes in, who connected out.

A balancer that passes bytes on says in a header before them who its client is. Source: "The
PROXY protocol", versions 1 & 2, HAProxy project (2020/03/05), sections 2.1 and 2.2.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "NOT_SPOKEN",
    "NOT_TRUSTED",
    "Origin",
    "ProxyHeaderError",
    "Tlv",
    "is_proxy_header",
    "parse_proxy_header",
    "parse_tlvs",
]

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

LONGEST_LINE: Final = 107
"""Bytes of a version 1 header with its line end (section 2.1): a longer one is an attack."""

LARGEST_HEADER: Final = 4096
"""Bytes of a version 2 header. Two Unix paths need 232; the rest is for TLVs. The format allows
65 KiB, which every connection could make us keep."""

Endpoint: TypeAlias = "tuple[str, int] | str"
"""An address and a port, or the path of a Unix socket (empty for one without a name)."""

Tlv: TypeAlias = tuple[int, bytes]
"""A type and a value (section 2.2.1 and later)."""

NOT_TRUSTED: Final = "PROXY header from an address that is not trusted"
"""Why a request is refused that begins with a header, where trusted peers send such headers."""

NOT_SPOKEN: Final = "PROXY header, but the PROXY protocol is off"
"""The same where the setting ``proxy_protocol`` is off."""

_match_beginning: Final = re.compile(
    # A parser may have skipped the line ends that version 2 begins with as empty lines.
    rb"[\r\n]*(?:PROXY (?:TCP[46]|UNKNOWN)\b|\0\r\nQUIT\n)"
).match
_match_line: Final = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) ([0-9]{1,5}) ([0-9]{1,5})"
).fullmatch
_match_unknown: Final = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?").fullmatch

_V2_HEAD: Final = Struct("!12sBBH")
_TLV_HEAD: Final = Struct("!BH")
_INET: Final = Struct("!4s4sHH")
_INET6: Final = Struct("!16s16sHH")
_UNIX: Final = Struct("!108s108s")

_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC = 0x00
_CRC32C: Final = 0x03


class ProxyHeaderError(ValueError):
    """The header is missing or malformed; the connection cannot be used."""


class Origin(NamedTuple):
    """What a header says. ``source`` and ``destination`` are ``None`` where it tells neither:

    a connection of the balancer itself (LOCAL, such as a health check), or of a kind that it
    does not know (UNKNOWN, UNSPEC). The addresses of the connection hold then.
    """

    version: int
    source: Endpoint | None
    destination: Endpoint | None
    tlvs: tuple[Tlv, ...] = ()


def parse_proxy_header(data: bytes) -> tuple[Origin, int] | None:
    """Parse the header at the beginning of ``data``.

    Returns what it says and its length in bytes, or ``None`` where more has to come. Raises
    ``ProxyHeaderError`` as soon as it cannot become a header any more.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _parse_v2(data) if len(data) >= _V2_HEAD.size else None
    if data.startswith(b"PROXY "[: len(data)]):
        return _parse_v1(data)
    raise ProxyHeaderError("there is no PROXY header")


def is_proxy_header(beginning: bytes | bytearray) -> bool:
    """Whether what is no request was meant as a header, to say so in its refusal.

    ``beginning`` are the first bytes received, with or without leading line ends, or the line
    that is no request line. A header that is cut short before its kind is known is none.
    """
    return _match_beginning(beginning) is not None


def _parse_v1(data: bytes) -> tuple[Origin, int] | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyHeaderError("the line is too long")
        return None
    line = data[:end]
    if _match_unknown(line):
        return Origin(1, None, None), end + 2
    match = _match_line(line)
    if match is None:
        raise ProxyHeaderError("the line is malformed")
    kind = IPv4Address if match[1] == b"TCP4" else IPv6Address
    source, destination = (
        _v1_endpoint(kind, match[2], match[4]),
        _v1_endpoint(kind, match[3], match[5]),
    )
    return Origin(1, source, destination), end + 2


def _v1_endpoint(
    kind: type[IPv4Address] | type[IPv6Address], address: bytes, port: bytes
) -> tuple[str, int]:
    try:
        host = _plain(kind(address.decode("ascii")))
    except AddressValueError as error:
        raise ProxyHeaderError("an address is malformed") from error
    number = int(port)
    if number > 65535 or (port != b"0" and port.startswith(b"0")):
        raise ProxyHeaderError("a port is malformed")
    return host, number


def _parse_v2(data: bytes) -> tuple[Origin, int] | None:
    _, command, family, length = _V2_HEAD.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError("the version or the command is unknown")
    end = _V2_HEAD.size + length
    if end > LARGEST_HEADER:
        raise ProxyHeaderError("the header is too large")
    if len(data) < end:
        return None
    if command == _LOCAL:  # section 2.2: the rest must be skipped, whatever it is
        return Origin(2, None, None), end
    source, destination, used = _v2_endpoints(family, data[_V2_HEAD.size : end])
    tlvs = parse_tlvs(data[_V2_HEAD.size + used : end])
    _check_sum(data[:end], _V2_HEAD.size + used, tlvs)
    return Origin(2, source, destination, tlvs), end


def _v2_endpoints(family: int, block: bytes) -> tuple[Endpoint | None, Endpoint | None, int]:
    """Both ends and how many bytes of the block they take."""
    if family == _UNSPEC:
        return None, None, 0
    layout = {0x11: _INET, 0x21: _INET6, 0x31: _UNIX}.get(family)
    if layout is None:  # datagrams do not come over a stream
        raise ProxyHeaderError("the address family or the transport is unknown")
    if len(block) < layout.size:
        raise ProxyHeaderError("the addresses are cut short")
    if layout is _UNIX:
        first, second = layout.unpack_from(block)
        return _path(first), _path(second), layout.size
    first, second, source_port, destination_port = layout.unpack_from(block)
    kind = IPv4Address if layout is _INET else IPv6Address
    return (
        (_plain(kind(first)), source_port),
        (_plain(kind(second)), destination_port),
        layout.size,
    )


def parse_tlvs(data: bytes) -> tuple[Tlv, ...]:
    """The types and values in ``data``; raises ``ProxyHeaderError`` where one is cut short."""
    found: list[Tlv] = []
    position = 0
    while position < len(data):
        if len(data) - position < _TLV_HEAD.size:
            raise ProxyHeaderError("a TLV is cut short")
        kind, length = _TLV_HEAD.unpack_from(data, position)
        position += _TLV_HEAD.size
        if length > len(data) - position:
            raise ProxyHeaderError("a TLV is cut short")
        found.append((kind, data[position : position + length]))
        position += length
    return tuple(found)


def _check_sum(header: bytes, position: int, tlvs: tuple[Tlv, ...]) -> None:
    """Section 2.2.3: a checksum that is there must be right, over the header with it zeroed."""
    for kind, value in tlvs:
        position += _TLV_HEAD.size
        if kind == _CRC32C:
            zeroed = header[:position] + bytes(len(value)) + header[position + len(value) :]
            if len(value) != 4 or _crc32c(zeroed) != int.from_bytes(value, "big"):
                raise ProxyHeaderError("the checksum is wrong")
        position += len(value)


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 9260 appendix A); bit by bit, since few balancers send it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _plain(address: IPv4Address | IPv6Address) -> str:
    """An IPv4 client of a dual-stack balancer is an IPv4 client here too."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _path(field: bytes) -> str:
    name = field.rstrip(b"\0")
    return ("@" + name[1:].decode("latin-1")) if name[:1] == b"\0" else _text(name)


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
