"""The nodes that forwarding fields name (RFC 7239 §6 and X-Forwarded-For); the twin."""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from katana_asgi.codec.framing import Field

__all__ = ["Hop", "nearest_hop", "parse_node"]

Hop: TypeAlias = tuple[tuple[str, int] | None, str | None, bool]

_LONGEST_NODE: Final = 128
"""Bytes of one hop; an address with a port needs 54. Keeps parsing cheap whatever arrives."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""The first bytes of an IPv4 address in IPv6 form (RFC 4291 §2.5.5.2)."""

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_SCHEMES: Final = {b"http": "http", b"https": "https"}

_match_obfuscated: Final = re.compile(r"_[A-Za-z0-9._-]+").fullmatch


def parse_node(node: bytes) -> tuple[str, int] | None:
    """``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1``, ``[2001:db8::1]:80``, else ``None``.

    Addresses come out in their canonical form (RFC 5952), those of IPv4 in IPv6 form as IPv4.
    Zone identifiers and leading zeros of IPv4 are refused; an obfuscated port is 0.
    """
    if len(node) > _LONGEST_NODE:
        return None
    try:
        host, port = node.decode("ascii"), 0
        colons = host.count(":")
        if colons == 1 or "[" in host:  # an IPv6 address has no port without brackets
            host, port = _split_port(host)
            colons = host.count(":")
        if not colons:
            inet_pton(AF_INET, host)  # which takes the canonical form only
            return host, port
        packed = inet_pton(AF_INET6, host)
    except (OSError, ValueError):
        return None
    host = inet_ntop(AF_INET6, packed)
    if "." not in host:
        return host, port
    if packed.startswith(_MAPPED):
        return inet_ntop(AF_INET, packed[12:]), port
    # ::192.0.2.1, a form that is deprecated (RFC 4291 §2.5.5.1)
    return f"::{packed[12] << 8 | packed[13]:x}:{packed[14] << 8 | packed[15]:x}", port


def nearest_hop(
    fields: list[Field], positions: tuple[int, ...], believed: frozenset[bytes]
) -> Hop | None:
    """The last node of X-Forwarded-For, the scheme, and whether other nodes stand before it.

    ``positions`` are the indexes of the forwarding fields; those that are not ``believed`` do not
    count. The node is ``None`` where it is no address, the scheme where none is named. Nothing is
    found (``None``) where other fields are believed, one stands twice, or X-Forwarded-Proto is
    not just ``http`` or ``https``.
    """
    values: dict[bytes, bytes] = {}
    for position in positions:
        name, value = fields[position]
        if name not in believed:
            continue
        if name in values or name not in (_FOR, _PROTO):
            return None
        values[name] = value
    scheme = None
    if _PROTO in values:
        scheme = _SCHEMES.get(values[_PROTO])
        if scheme is None:
            return None
    _, comma, node = values.get(_FOR, b"").rpartition(b",")
    return parse_node(node.strip(b" \t")), scheme, bool(comma)


def _split_port(node: str) -> tuple[str, int]:
    """The address, not yet checked, and the port. Raises ``ValueError``."""
    if not node.startswith("["):
        host, _, text = node.partition(":")
        return host, _parse_node_port(text)
    host, bracket, rest = node[1:].partition("]")
    if not bracket or (rest and not rest.startswith(":")):
        raise ValueError(node)
    return host, _parse_node_port(rest[1:]) if rest else 0


def _parse_node_port(text: str) -> int:
    if text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    if _match_obfuscated(text):  # RFC 7239 §6.3
        return 0
    raise ValueError(text)
