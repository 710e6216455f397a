"""The nodes that forwarding fields name (RFC 7239 §6 and X-Forwarded-For); the twin."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias

__all__ = ["IPAddress", "parse_node", "unmapped"]

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST_NODE: Final = 128
"""Bytes of one hop; an address with a port needs 54. Keeps matching cheap whatever arrives."""

_PORT: Final = rb"(?::([0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_match_ipv4: Final = re.compile(rb"([0-9.]+)" + _PORT).fullmatch
_match_bracketed: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\]" + _PORT).fullmatch
_match_ipv6: Final = re.compile(rb"([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)()").fullmatch  # no port


def parse_node(node: bytes) -> tuple[str, int] | None:
    """One hop, ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``.

    Returns the canonical address and its port, 0 where none is given; ``None`` for anything else.
    """
    if len(node) > _LONGEST_NODE:
        return None
    match = _match_ipv4(node) or _match_bracketed(node) or _match_ipv6(node)
    if match is None:
        return None
    try:
        address = unmapped(ipaddress.ip_address(match[1].decode("ascii")))
    except ValueError:
        return None
    port = match[2]
    if not port or port.startswith(b"_"):  # RFC 7239 §6.3: an obfuscated port
        return str(address), 0
    return (str(address), int(port)) if int(port) <= 65535 else None


def unmapped(address: IPAddress) -> IPAddress:
    """A dual-stack listener sees IPv4 peers as ``::ffff:192.0.2.1``: take them for IPv4."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
