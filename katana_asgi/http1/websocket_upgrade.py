"""The WebSocket handshake as HTTP/1.1 has it (RFC 6455 §4.2): Upgrade, a key, and 101."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import list_members
from katana_asgi.http1.default_lines import field_lines
from katana_asgi.http1.status_lines import STATUS_LINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.http.message import Field, RequestHead
    from katana_asgi.http1.connection import Http1Connection

__all__ = ["Http1Upgrade", "accept_key", "is_upgrade"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 §1.3."""

_match_key: Final = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch
"""Sixteen bytes in base64 (RFC 6455 §4.1)."""


def is_upgrade(head: RequestHead) -> bool:
    """Whether a request with Upgrade in its Connection asks for WebSocket, well or badly.

    False for what cannot become one (another method, HTTP/1.0, another protocol): there the
    Upgrade field is ignored and the request served (RFC 9110 §7.8).
    """
    return (
        head.method == "GET"
        and head.version == "1.1"
        and any(
            name == b"upgrade" and b"websocket" in list_members(value)
            for name, value in head.fields
        )
    )


def accept_key(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


class Http1Upgrade:
    """How a session takes an HTTP/1.1 connection over; see ``Upgradable``.

    Raises ``RemoteProtocolError`` (400) for a request that cannot be answered with 101.
    """

    __slots__ = ("_connection", "_key")

    status = 101

    def __init__(self, connection: Http1Connection, head: RequestHead) -> None:
        if head.has_content:
            raise RemoteProtocolError("content in a WebSocket handshake")
        keys = [value for name, value in head.fields if name == b"sec-websocket-key"]
        if len(keys) != 1 or _match_key(keys[0]) is None:
            raise RemoteProtocolError("invalid Sec-WebSocket-Key")
        self._connection = connection
        self._key = keys[0]

    def limit(self, timeout: float) -> None:
        """The application has ``timeout`` seconds to answer; 0 is no limit."""
        self._connection.limit_handshake(timeout)

    def accept(self, fields: Sequence[Field], end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Send the 101, whole; what comes from now on is for ``end``."""
        response = b"".join(
            (
                STATUS_LINES[101],
                b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ",
                accept_key(self._key),
                b"\r\n",
                field_lines(fields),
                b"\r\n",
            )
        )
        return self._connection.upgrade(response, end)
