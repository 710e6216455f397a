"""From a decoded header block to a request head (RFC 9113 §8).

The decoder has checked names, values and the order of pseudo-fields; here is what the few fields
mean that the server itself has to understand. A request that is malformed (§8.1.1) is a stream
error; everything else an application may see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from katana_asgi.codec import FORWARDED_FIELDS, RequestHead
from katana_asgi.codec.grammar import is_token, is_valid_host, list_members
from katana_asgi.codec.target import parse_target
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

_METHODS: Final = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "QUERY")
}


class CheckedHead(NamedTuple):
    """A request head and what its fields ask of HTTP/2."""

    head: RequestHead
    protocol: bytes | None = None
    """``:protocol`` of an extended CONNECT (RFC 8441)."""
    expects_continue: bool = False
    takes_trailers: bool = False
    priority: bytes | None = None
    mixed: bool = False
    """It came through a proxy, which may mix the requests of many clients."""


class _Examined:
    """What the examined fields say."""

    __slots__ = (
        "content_length",
        "cookies",
        "expects_continue",
        "forwarded",
        "host",
        "mixed",
        "priority",
        "takes_trailers",
    )

    def __init__(self) -> None:
        self.content_length: bytes | None = None
        self.cookies: list[int] = []
        self.expects_continue = False
        self.forwarded = False
        self.host: int | None = None
        self.mixed = False
        self.priority: bytes | None = None
        self.takes_trailers = False

    def add(self, index: int, name: bytes, value: bytes) -> None:
        """Note one field."""
        if name == b"cookie":
            self.cookies.append(index)
        elif name == b"priority":
            self.priority = value if self.priority is None else self.priority + b"," + value
        elif name in FORWARDED_FIELDS:
            self.forwarded = self.mixed = True
        elif name == b"content-length":
            if self.content_length is not None and self.content_length != value:
                raise _malformed("two content lengths")
            self.content_length = value
        elif name == b"te":
            if list_members(value) != [b"trailers"]:  # RFC 9113 §8.2.2
                raise _malformed("TE other than trailers")
            self.takes_trailers = True
        elif name == b"host":
            if self.host is not None:
                raise _malformed("two Host fields")
            self.host = index
        elif name == b"expect":
            self.expects_continue = b"100-continue" in list_members(value)
        elif name == b"via":
            self.mixed = True
        elif name in _CONNECTION_SPECIFIC:
            raise _malformed("connection-specific field")


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
    found = _Examined()
    for index in special:
        found.add(index, *fields[index])
    if name == "CONNECT" and protocol is None:
        raise _plain_connect(scheme, authority, target)
    if protocol is not None and (name != "CONNECT" or authority is None):
        raise _malformed("extended CONNECT without its fields")
    if scheme is None or target is None:
        raise _malformed("no scheme or path")
    if scheme not in _SCHEMES:
        raise _malformed("scheme other than http and https")
    path, raw_path, query = _split_target(target, "GET" if protocol is not None else name)
    host = _host(authority, None if found.host is None else fields[found.host][1])
    _rearrange(fields, leading, host, found)
    forwarded: tuple[int, ...] = ()
    if found.forwarded:
        names = [field[0] for field in fields]
        forwarded = tuple([at for at, each in enumerate(names) if each in FORWARDED_FIELDS])
    head = RequestHead(
        name,
        target,
        "2",
        _SCHEMES[scheme],
        host,
        path,
        raw_path,
        query,
        fields,
        _length(found.content_length, ended, protocol is not None),
        forwarded,
    )
    return CheckedHead(
        head,
        protocol,
        found.expects_continue,
        found.takes_trailers,
        found.priority,
        found.mixed,
    )


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


def _split_target(target: bytes, method: str) -> tuple[str, bytes, bytes]:
    """RFC 9113 §8.3.1: a path that begins with a slash, or * for OPTIONS; never a whole URI."""
    if target[:1] != b"/" and not (target == b"*" and method == "OPTIONS"):
        raise _malformed("path without a slash")
    try:
        _, _, path, raw_path, query = parse_target(target, method)
    except RemoteProtocolError as error:
        raise _malformed(error.reason) from None
    return path, raw_path, query


def _host(authority: bytes | None, host: bytes | None) -> bytes:
    """RFC 9113 §8.3.1: authority and Host may both be sent but must not differ."""
    value = host if authority is None else authority
    if not value or not is_valid_host(value):
        raise _malformed("no valid authority")
    if host is not None and host.lower() != value.lower():
        raise _malformed("Host differs from the authority")
    return value


def _rearrange(fields: list[Field], leading: int, host: bytes, found: _Examined) -> None:
    """Put one Host in place of the pseudo-fields, and one Cookie in place of its crumbs.

    RFC 9113 §8.2.3: an application that knows no HTTP/2 expects a single Cookie field.
    """
    superfluous = [] if found.host is None else [found.host]
    cookies = found.cookies
    if len(cookies) > 1:
        fields[cookies[0]] = (b"cookie", b"; ".join([fields[index][1] for index in cookies]))
        superfluous += cookies[1:]
    for index in sorted(superfluous, reverse=True):
        del fields[index]
    fields[:leading] = [(b"host", host)]


def _length(announced: bytes | None, ended: bool, tunnel: bool) -> int | None:
    """How much content follows: 0 for none, ``None`` where only its end will tell."""
    if announced is None:
        return 0 if ended else None
    if tunnel or not announced.isdigit() or len(announced) > 18:
        raise _malformed("invalid content length")
    length = int(announced)
    if ended and length:
        raise _malformed("content length without content")
    return length
