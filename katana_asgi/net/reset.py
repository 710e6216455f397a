"""Ending a connection, or our side of it, so that the peer notices."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

__all__ = ["end_writing", "reset"]

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


def end_writing(transport: asyncio.Transport) -> None:
    """Send what waits, then FIN; the peer may go on sending."""
    with suppress(OSError):  # it has gone, and asyncio's transports are told so only here
        transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """Drop what is unsent and reset the connection.

    ``abort()`` alone sends FIN where nothing is unread, and to HTTP/1.0 that is the regular end
    of content (RFC 9112 §6.3).
    """
    sock: Any = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):  # the peer was faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
