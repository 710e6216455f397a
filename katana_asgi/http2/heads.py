"""From a decoded header block to a request head (RFC 9113 §8).

The decoder has checked names, values and the order of pseudo-fields; here is what the few fields
mean that the server itself has to understand. A request that is malformed (§8.1.1) is a stream
error; everything else an application may see.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from katana_asgi.codec import FORWARDED_FIELDS, RequestHead
from katana_asgi.codec.grammar import is_token, is_valid_host, list_members
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http2.faults import PROTOCOL_ERROR, StreamFault

if TYPE_CHECKING:
    from katana_asgi.codec import Field
    from katana_asgi.codec.hpack import Decoded

__all__ = ["EXAMINED", "CheckedHead", "check_head"]

EXAMINED: Final = FORWARDED_FIELDS | {
    b"connection",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"priority",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"via",
}
"""The names of fields that the decoder is to point out."""

_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""RFC 9113 §8.2.2: they make a message malformed."""

_SCHEMES: Final = {b"http": "http", b"https": "https"}

_is_valid_host: Final = lru_cache(maxsize=512)(is_valid_host)

_METHODS: Final = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "QUERY")
}


class CheckedHead:
    """A request head and what its fields ask of HTTP/2.

    ``protocol`` is that of an extended CONNECT (RFC 8441); ``mixed`` says that it came through a
    proxy, which may mix the requests of many clients.
    """

    __slots__ = (
        "_content_length",
        "_cookies",
        "_forwarded",
        "_host",
        "expects_continue",
        "head",
        "mixed",
        "priority",
        "protocol",
        "takes_trailers",
    )

    head: RequestHead

    def __init__(self, protocol: bytes | None) -> None:
        self._content_length: bytes | None = None
        self._cookies: list[int] = []
        self._forwarded = False
        self._host: int | None = None
        self.expects_continue = False
        self.mixed = False
        self.priority: bytes | None = None
        self.protocol = protocol
        self.takes_trailers = False

    def examine(self, index: int, name: bytes, value: bytes) -> None:
        """Note what one field says."""
        if name == b"cookie":
            self._cookies.append(index)
        elif name == b"priority":
            self.priority = value if self.priority is None else self.priority + b"," + value
        elif name in FORWARDED_FIELDS:
            self._forwarded = self.mixed = True
        elif name == b"content-length":
            if self._content_length is not None and self._content_length != value:
                raise _malformed("two content lengths")
            self._content_length = value
        elif name == b"te":
            if list_members(value) != [b"trailers"]:  # RFC 9113 §8.2.2
                raise _malformed("TE other than trailers")
            self.takes_trailers = True
        elif name == b"host":
            if self._host is not None:
                raise _malformed("two Host fields")
            self._host = index
        elif name == b"expect":
            self.expects_continue = b"100-continue" in list_members(value)
        elif name == b"via":
            self.mixed = True
        elif name in _CONNECTION_SPECIFIC:
            raise _malformed("connection-specific field")

    def complete(self, fields: list[Field], leading: int, authority: bytes | None) -> bytes:
        """Put one Host in place of the pseudo-fields, and one Cookie in place of its crumbs.

        RFC 9113 §8.3.1: authority and Host may both be sent but must not differ. §8.2.3: an
        application that knows no HTTP/2 expects a single Cookie. Returns the authority.
        """
        sent = None if self._host is None else fields[self._host][1]
        host = sent if authority is None else authority
        if not host or not _is_valid_host(host):
            raise _malformed("no valid authority")
        superfluous = [] if self._host is None else [self._host]
        if sent is not None and sent.lower() != host.lower():
            raise _malformed("Host differs from the authority")
        cookies = self._cookies
        if len(cookies) > 1:
            fields[cookies[0]] = (b"cookie", b"; ".join([fields[index][1] for index in cookies]))
            superfluous += cookies[1:]
        if superfluous:
            for index in sorted(superfluous, reverse=True):
                del fields[index]
        fields[:leading] = [(b"host", host)]
        return host

    def forwarding(self, fields: list[Field]) -> tuple[int, ...]:
        """Where the forwarding fields stand in the end."""
        if not self._forwarded:
            return ()
        return tuple([at for at, (name, _) in enumerate(fields) if name in FORWARDED_FIELDS])

    def length(self, ended: bool) -> int | None:
        """How much content follows: 0 for none, ``None`` where only its end will tell."""
        announced = self._content_length
        if announced is None:
            return 0 if ended else None
        if self.protocol is not None or not announced.isdigit() or len(announced) > 18:
            raise _malformed("invalid content length")
        length = int(announced)
        if ended and length:
            raise _malformed("content length without content")
        return length


def _malformed(reason: str) -> StreamFault:
    return StreamFault(PROTOCOL_ERROR, reason)


def check_head(decoded: Decoded, ended: bool) -> CheckedHead:
    """Make a request head; ``ended`` says that no content follows.

    Raises ``StreamFault`` where the request is malformed, and ``RemoteProtocolError`` with the
    status of the answer for one that is well formed and not supported.
    """
    fields, (method, scheme, authority, target, protocol), leading, special, _, _, _ = decoded
    if method is None:
        raise _malformed("no method")
    name = _METHODS.get(method) or _other_method(method)
    checked = CheckedHead(protocol)
    for index in special:
        checked.examine(index, *fields[index])
    if name == "CONNECT" and protocol is None:
        raise _plain_connect(scheme, authority, target)
    if protocol is not None and (name != "CONNECT" or authority is None):
        raise _malformed("extended CONNECT without its fields")
    if scheme is None or target is None:
        raise _malformed("no scheme or path")
    if scheme not in _SCHEMES:
        raise _malformed("scheme other than http and https")
    if (target[:1] != b"/" or b"#" in target) and (target != b"*" or name != "OPTIONS"):
        raise _malformed("path without a slash, or with a fragment")  # RFC 9113 §8.3.1
    raw_path, _, query = target.partition(b"?")
    path = raw_path.decode("ascii")
    host = checked.complete(fields, leading, authority)
    checked.head = RequestHead(
        name,
        target,
        "2",
        _SCHEMES[scheme],
        host,
        unquote(path) if "%" in path else path,
        raw_path,
        query,
        fields,
        checked.length(ended),
        checked.forwarding(fields),
    )
    return checked


def _other_method(method: bytes) -> str:
    if not is_token(method):
        raise _malformed("method that is no token")
    return method.decode("ascii")


def _plain_connect(
    scheme: bytes | None, authority: bytes | None, target: bytes | None
) -> StreamFault | RemoteProtocolError:
    """RFC 9113 §8.5: a tunnel to elsewhere, which an origin server does not make."""
    if scheme is not None or target is not None or not authority:
        return _malformed("CONNECT with a scheme or path, or without an authority")
    return RemoteProtocolError("CONNECT is not supported", 501)
