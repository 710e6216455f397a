"""The opening handshake, pure: what a client offers, and the fields that answer it (RFC 6455 §4).

What differs by protocol version (a key and 101 in HTTP/1.1, an extended CONNECT and 200 in
HTTP/2) is the version's own.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.http.fields import TOKEN, is_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.http.message import Field, RequestHead, ResponseFields

__all__ = ["ExtensionOffer", "Opening", "parse_extensions", "parse_opening", "response_fields"]

logger = logging.getLogger("katana_asgi.error")

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


@dataclass(frozen=True, slots=True)
class ExtensionOffer:
    """One extension a client offers; a parameter without a value has ``None``."""

    name: bytes
    parameters: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """What a client offers in its opening handshake, in its order."""

    subprotocols: tuple[str, ...]
    extensions: tuple[ExtensionOffer, ...]


def parse_opening(head: RequestHead) -> Opening:
    """The handshake in ``head``, whatever the protocol version carries it.

    Raises ``RemoteProtocolError``: 426 for a version other than 13, 400 for the rest.
    """
    if _values(head.fields, b"sec-websocket-version") != [b"13"]:
        raise RemoteProtocolError("unsupported WebSocket version", 426, _SUPPORTED)
    return Opening(
        _subprotocols(_values(head.fields, b"sec-websocket-protocol")),
        parse_extensions(_values(head.fields, b"sec-websocket-extensions")),
    )


def _values(fields: Sequence[Field], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _subprotocols(values: list[bytes]) -> tuple[str, ...]:
    """Distinct tokens, in the client's order (RFC 6455 §4.1, item 10)."""
    parts = [part.strip(b" \t") for value in values for part in value.split(b",")]
    names = [part for part in parts if part]
    valid = all(map(is_token, names)) and len(set(names)) == len(names)
    if not valid or (values and not names):
        raise RemoteProtocolError("invalid Sec-WebSocket-Protocol")
    return tuple(name.decode("ascii") for name in names)


def parse_extensions(values: Sequence[bytes]) -> tuple[ExtensionOffer, ...]:
    """The offers in the values of Sec-WebSocket-Extensions (RFC 6455 §9.1).

    Empty list members are passed over (RFC 9110 §5.6.1.2). Raises ``RemoteProtocolError`` (400)
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
        raise RemoteProtocolError("invalid Sec-WebSocket-Extensions")
    name = match[1]
    parameters: list[tuple[bytes, bytes | None]] = []
    position = match.end()
    while (match := _match_parameter(value, position)) is not None:
        content: bytes | None = match[2]
        if match[3] is not None:
            # RFC 6455 §9.1: what is quoted must still be a token.
            content = _unescape(rb"\1", match[3])
            if not is_token(content):
                raise RemoteProtocolError("invalid Sec-WebSocket-Extensions")
        parameters.append((match[1], content))
        position = match.end()
    if position < len(value) and value[position] != ord(","):
        raise RemoteProtocolError("invalid Sec-WebSocket-Extensions")
    return ExtensionOffer(name, tuple(parameters)), position


def response_fields(
    opening: Opening,
    *,
    subprotocol: str | None = None,
    extension: bytes | None = None,
    fields: ResponseFields,
) -> list[Field]:
    """The fields of the response that opens the WebSocket (RFC 6455 §4.2.2).

    ``extension`` is the agreed Sec-WebSocket-Extensions, ``fields`` are the application's. A
    subprotocol that was not offered is left out, with a warning: a client has to fail the
    connection over it (§4.1), and other servers do not send it either.

    Raises ``LocalProtocolError`` for a Sec-WebSocket field among the application's.
    """
    pairs: list[Field] = []
    if subprotocol and subprotocol in opening.subprotocols:
        pairs.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    elif subprotocol is not None:
        logger.warning(
            "The application accepted a WebSocket with subprotocol %s, which the client did not "
            "offer; it is left out",
            ascii(subprotocol),
        )
    if extension is not None:
        pairs.append((b"sec-websocket-extensions", extension))
    for name, value in fields.pairs:
        if name in _OWN_FIELDS:
            raise LocalProtocolError(f"{name.decode()} is not the application's to send")
        if name != b"content-length":  # RFC 9110 §8.6: never in a 1xx
            pairs.append((name, value))
    return pairs
