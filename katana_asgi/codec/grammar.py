"""Grammar of field names, field values and Host (RFC 9110 §5, §7.2; RFC 3986 §3.2.2).

Names and values are bytes; nothing here depends on a protocol version.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

__all__ = ["TOKEN", "is_token", "is_valid_host", "list_members"]

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 §5.6.2, as the source of a bytes pattern."""

_match_token: Final = re.compile(TOKEN).fullmatch
_match_name_and_port: Final = re.compile(
    rb"(?!:)((?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::([0-9]{0,5}))?"
).fullmatch
_match_literal_and_port: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::([0-9]{0,5}))?").fullmatch


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token (RFC 9110 §5.6.2)."""
    return _match_token(value) is not None


def is_valid_host(value: bytes) -> bool:
    """Whether ``value`` is ``uri-host [ ":" port ]`` (RFC 9110 §7.2).

    Empty is valid: the target has no authority. A port alone is not (§4.2.1): a URI made of it
    would have no host.
    """
    match = _match_name_and_port(value)
    if match is None:
        match = _match_literal_and_port(value)
        if match is None or not _is_ipv6(match[1]):
            return False
    return int(match[2] or b"0") <= 65535


def _is_ipv6(literal: bytes) -> bool:
    try:
        ipaddress.IPv6Address(literal.decode("ascii"))
    except ValueError:
        return False
    return True


def list_members(value: bytes) -> list[bytes]:
    """The members of a comma-separated list of tokens, lower-cased (RFC 9110 §5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
