"""The request target and its four forms (RFC 9112 §3.2)."""

from __future__ import annotations

import re
from typing import Final, TypeAlias
from urllib.parse import unquote

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import is_valid_host

__all__ = ["Target", "parse_target"]

_match_absolute: Final = re.compile(rb"(?i:https?)://([^/?]*)([^?]*)(?:\?(.*))?").fullmatch


Target: TypeAlias = tuple[str, bytes, bytes, bytes | None]
"""A request target taken apart: path, raw path, query, and the authority it carried, if any."""


def parse_target(target: bytes, method: str) -> Target:
    """Take a request target apart.

    ``target`` is visible ASCII. The path is percent-decoded as UTF-8 with U+FFFD for what is
    not; ``raw_path`` is as sent, without the query.

    Raises ``RemoteProtocolError``: 501 for CONNECT, else 400 for a form that does not
    fit the method, a fragment, or an authority that is empty or not a host.
    """
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT is not supported", 501)
    if b"#" in target:
        raise RemoteProtocolError("fragment in the request target")
    if target[:1] == b"/":
        raw_path, _, query = target.partition(b"?")
        return _decode(raw_path), raw_path, query, None
    if target == b"*" and method == "OPTIONS":
        return "*", b"*", b"", None
    match = _match_absolute(target)
    if match is None:
        raise RemoteProtocolError("invalid request target")
    authority, raw_path, query = match[1], match[2] or b"/", match[3] or b""
    # RFC 9110 §4.2.1: an http URI with an empty host is invalid. §4.2.4: so is userinfo.
    if not authority or not is_valid_host(authority):
        raise RemoteProtocolError("invalid authority in the request target")
    if method == "OPTIONS" and not match[2] and match[3] is None:
        raw_path = b"*"  # RFC 9112 §3.2.4: no path and no query means the server as a whole
    return _decode(raw_path), raw_path, query, authority


def _decode(raw_path: bytes) -> str:
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path
