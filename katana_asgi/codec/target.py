"""The request target and its four forms (RFC 9112 §3.2)."""

from __future__ import annotations

import re
from typing import Final, TypeAlias
from urllib.parse import unquote

from katana_asgi.codec.grammar import is_valid_host
from katana_asgi.errors import RemoteProtocolError

__all__ = ["Target", "parse_target"]

_match_absolute: Final = re.compile(rb"(?i:(https?))://([^/?]*)([^?]*)(?:\?(.*))?").fullmatch


Target: TypeAlias = tuple[str, bytes | None, str, bytes, bytes]
"""A request target taken apart: scheme, authority, path, raw path, query.

Where the target is not in absolute-form the scheme is empty and the authority ``None``.
"""


def parse_target(target: bytes, method: str) -> Target:
    """Take a request target apart.

    ``target`` is visible ASCII. The path is percent-decoded as UTF-8 with U+FFFD for what is
    not; the raw path is as sent, without the query.

    Raises ``RemoteProtocolError``: 501 for CONNECT, else 400 for a form that does not
    fit the method, a fragment, or an authority that is empty or not a host.
    """
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT is not supported", 501)
    if b"#" in target:
        raise RemoteProtocolError("fragment in the request target")
    if target[:1] == b"/":
        raw_path, _, query = target.partition(b"?")
        return "", None, _decode(raw_path), raw_path, query
    if target == b"*" and method == "OPTIONS":
        return "", None, "*", b"*", b""
    match = _match_absolute(target)
    if match is None:
        raise RemoteProtocolError("invalid request target")
    authority, raw_path, query = match[2], match[3] or b"/", match[4] or b""
    # RFC 9110 §4.2.1: an http URI with an empty host is invalid. §4.2.4: so is userinfo.
    if not authority or not is_valid_host(authority):
        raise RemoteProtocolError("invalid authority in the request target")
    if method == "OPTIONS" and not match[3] and match[4] is None:
        raw_path = b"*"  # RFC 9112 §3.2.4: no path and no query means the server as a whole
    return match[1].decode("ascii").lower(), authority, _decode(raw_path), raw_path, query


def _decode(raw_path: bytes) -> str:
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path
