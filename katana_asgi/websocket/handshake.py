"""The opening handshake over HTTP/1.1 (RFC 6455 §4.2), pure: a request head in, bytes out.

``is_upgrade`` says whether a request asks for WebSocket at all, ``check_upgrade`` whether
it asks properly, and ``accept_response`` renders the answer that opens the connection.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from katana_asgi.asgi.fields import NO_FIELDS
from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.http.fields import TOKEN, is_token, list_members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.http.message import Field, RequestHead

__all__ = [
    "ExtensionOffer",
    "HandshakeError",
    "Upgrade",
    "accept_key",
    "accept_response",
    "check_upgrade",
    "is_upgrade",
    "parse_extensions",
]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 §1.3."""

_match_key: Final = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch
"""Sixteen bytes in base64 (RFC 6455 §4.1)."""

_SUPPORTED: Final = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
)
"""What a 426 says (RFC 6455 §4.4, RFC 9110 §15.5.22)."""

_OWN_FIELDS: Final = frozenset(
    {
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)

_match_name: Final = re.compile(rb"[ \t]*(%b)[ \t]*" % TOKEN).match
_match_parameter: Final = re.compile(
    rb';[ \t]*(%b)[ \t]*(?:=[ \t]*(?:(%b)|"((?:[^"\\]|\\.)*)")[ \t]*)?' % (TOKEN, TOKEN)
).match
_unescape: Final = re.compile(rb"\\(.)").sub


class HandshakeError(RemoteProtocolError):
    """The opening handshake is wrong: answer ``status`` with ``fields``, as to any request."""

    def __init__(self, reason: str, status: int = 400, fields: tuple[Field, ...] = ()) -> None:
        super().__init__(reason, status)
        self.fields = fields


@dataclass(frozen=True, slots=True)
class ExtensionOffer:
    """One extension a client offers; a parameter without a value has ``None``."""

    name: bytes
    parameters: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A proper opening handshake: its key, and what the client offers, in its order."""

    key: bytes
    subprotocols: tuple[str, ...]
    extensions: tuple[ExtensionOffer, ...]


def is_upgrade(head: RequestHead) -> bool:
    """Whether ``head`` asks for WebSocket, well or badly.

    False for what cannot become one (another method, HTTP/1.0, another protocol): there
    the Upgrade field is ignored and the request served (RFC 9110 §7.8).
    """
    return (
        head.upgrade is not None
        and head.method == "GET"
        and head.version == "1.1"
        and b"websocket" in list_members(head.upgrade)
    )


def check_upgrade(head: RequestHead) -> Upgrade:
    """The handshake in ``head``.

    Raises ``HandshakeError``: 426 for a version other than 13, 400 for the rest.
    """
    if head.method != "GET" or head.version != "1.1":
        raise HandshakeError("WebSocket needs GET and HTTP/1.1")
    if head.has_content:
        raise HandshakeError("content in a WebSocket handshake")
    if b"websocket" not in _members(head.fields, b"upgrade"):
        raise HandshakeError("Upgrade does not name websocket")
    if b"upgrade" not in _members(head.fields, b"connection"):
        raise HandshakeError("Connection does not name Upgrade")
    if _values(head.fields, b"sec-websocket-version") != [b"13"]:
        raise HandshakeError("unsupported WebSocket version", 426, _SUPPORTED)
    keys = _values(head.fields, b"sec-websocket-key")
    if len(keys) != 1 or _match_key(keys[0]) is None:
        raise HandshakeError("invalid Sec-WebSocket-Key")
    return Upgrade(
        keys[0],
        _subprotocols(_values(head.fields, b"sec-websocket-protocol")),
        parse_extensions(_values(head.fields, b"sec-websocket-extensions")),
    )


def _values(fields: Sequence[Field], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _members(fields: Sequence[Field], wanted: bytes) -> list[bytes]:
    return [member for value in _values(fields, wanted) for member in list_members(value)]


def _subprotocols(values: list[bytes]) -> tuple[str, ...]:
    """Distinct tokens, in the client's order (RFC 6455 §4.1, item 10)."""
    parts = [part.strip(b" \t") for value in values for part in value.split(b",")]
    names = [part for part in parts if part]
    valid = all(map(is_token, names)) and len(set(names)) == len(names)
    if not valid or (values and not names):
        raise HandshakeError("invalid Sec-WebSocket-Protocol")
    return tuple(name.decode("ascii") for name in names)


def parse_extensions(values: Sequence[bytes]) -> tuple[ExtensionOffer, ...]:
    """The offers in the values of Sec-WebSocket-Extensions (RFC 6455 §9.1).

    Empty list members are passed over (RFC 9110 §5.6.1.2). Raises ``HandshakeError`` (400)
    where the grammar is broken.
    """
    offers: list[ExtensionOffer] = []
    for value in values:
        position = 0
        while position < len(value):
            if value[position] in b", \t":
                position += 1
                continue
            offer, position = _parse_offer(value, position)
            offers.append(offer)
    return tuple(offers)


def _parse_offer(value: bytes, position: int) -> tuple[ExtensionOffer, int]:
    """The offer at ``position`` and where it ends: at a comma or at the end of ``value``."""
    match = _match_name(value, position)
    if match is None:
        raise HandshakeError("invalid Sec-WebSocket-Extensions")
    name = match[1]
    parameters: list[tuple[bytes, bytes | None]] = []
    position = match.end()
    while (match := _match_parameter(value, position)) is not None:
        content: bytes | None = match[2]
        if match[3] is not None:
            # RFC 6455 §9.1: what is quoted must still be a token.
            content = _unescape(rb"\1", match[3])
            if not is_token(content):
                raise HandshakeError("invalid Sec-WebSocket-Extensions")
        parameters.append((match[1], content))
        position = match.end()
    if position < len(value) and value[position] != ord(","):
        raise HandshakeError("invalid Sec-WebSocket-Extensions")
    return ExtensionOffer(name, tuple(parameters)), position


def accept_key(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def accept_response(
    upgrade: Upgrade,
    *,
    subprotocol: str | None = None,
    extension: bytes | None = None,
    fields: ResponseFields = NO_FIELDS,
    defaults: bytes = b"",
) -> bytes:
    """The 101 that opens the connection, whole (RFC 6455 §4.2.2).

    ``extension`` is the agreed Sec-WebSocket-Extensions, ``fields`` the application's,
    ``defaults`` further field lines with their CRLF (the Date and Server it did not send).

    Raises ``LocalProtocolError`` for a subprotocol that was not offered and for a
    Sec-WebSocket field among the application's.
    """
    if subprotocol is not None and subprotocol not in upgrade.subprotocols:
        raise LocalProtocolError(f"subprotocol {subprotocol!r} was not offered")
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: %b\r\n" % accept_key(upgrade.key)
    ]
    if subprotocol is not None:
        lines.append(b"sec-websocket-protocol: %b\r\n" % subprotocol.encode("ascii"))
    if extension is not None:
        lines.append(b"sec-websocket-extensions: %b\r\n" % extension)
    for name, _ in fields.pairs:
        if name in _OWN_FIELDS:
            raise LocalProtocolError(f"{name.decode()} is not the application's to send")
    # RFC 9110 §8.6: no Content-Length in a 1xx.
    lines += (fields.without_length().lines, defaults, b"\r\n")
    return b"".join(lines)
