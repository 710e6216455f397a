"""Fields by which an application may choose a response although they are not in the key.

Whoever can send them could have a response stored under an address that others ask for. They are
what frameworks and their usual middleware read to learn the address behind a proxy, or to replace
method or path; each is harmless where it says what the key says, as an honest proxy's does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["chooses_beside_the_key"]

_METHODS: Final = frozenset({b"x-http-method", b"x-http-method-override", b"x-method-override"})
_TARGETS: Final = (
    b"x-forwarded-path", b"x-forwarded-uri", b"x-original-uri", b"x-original-url", b"x-rewrite-url",
)  # fmt: skip
_HOSTS: Final = (b"x-forwarded-host", b"x-host", b"x-original-host")
_SCHEMES: Final = (
    b"x-forwarded-proto", b"x-forwarded-protocol", b"x-forwarded-scheme", b"x-url-scheme",
)  # fmt: skip
_TLS: Final = (b"front-end-https", b"x-forwarded-ssl")
_PREFIXES: Final = (b"x-forwarded-prefix", b"x-script-name")
_PORT: Final = b"x-forwarded-port"
_FORWARDED: Final = b"forwarded"

_AS_WRITTEN: Final = frozenset((*_TARGETS, *_PREFIXES))
_ALL: Final = _METHODS.union(_TARGETS, _HOSTS, _SCHEMES, _TLS, _PREFIXES, (_PORT, _FORWARDED))

# RFC 7239 §4, read so that nothing an application could understand is missed.
_find_pairs: Final = re.compile(rb"([A-Za-z]+)[ \t]*=[ \t]*(\"[^\"]*+\"?|[^;,\s]*+)").findall


def chooses_beside_the_key(
    fields: Mapping[bytes, bytes], scheme: str, host: bytes, target: bytes, root_path: str
) -> bool:
    """Whether a field says something else than the other arguments, which make the key."""
    given = _ALL.intersection(fields)
    if not given:
        return False
    host = host.lower()
    expected = scheme.encode("ascii")
    port = host.rpartition(b"]")[2].rpartition(b":")[2] if b":" in host.rpartition(b"]")[2] else b""
    allowed: dict[bytes, bytes] = dict.fromkeys(_HOSTS, host)
    allowed |= dict.fromkeys(_TARGETS, target)
    allowed |= dict.fromkeys(_SCHEMES, expected)
    allowed |= dict.fromkeys(_TLS, b"on" if scheme == "https" else b"off")
    allowed |= dict.fromkeys(_PREFIXES, root_path.encode("utf-8"))
    allowed[_PORT] = port or (b"443" if scheme == "https" else b"80")
    for name in given:
        said = fields[name]
        if name == _FORWARDED:
            if not _agrees(said, host, expected):
                return True
        elif (said if name in _AS_WRITTEN else said.lower()) != allowed.get(name):
            return True  # a replaced method has nothing to agree with
    return False


def _agrees(value: bytes, host: bytes, scheme: bytes) -> bool:
    """Whether each hop of Forwarded names this host and this scheme, or none."""
    for name, said in _find_pairs(value):
        plain = said.strip(b'"').lower()
        if name.lower() == b"host" and plain != host:
            return False
        if name.lower() == b"proto" and plain != scheme:
            return False
    return True
