"""Listening sockets on an event loop."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.net.backlog import backlog_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["accept_the_rest", "address_of", "fixed_endpoint", "listen"]

ACCEPT_AT_ONCE: Final = 16
"""Connections asyncio accepts in one turn. It takes the backlog for it, and out of descriptors
tries that often in a row, each time with a report and a timer."""


QUEUE_LIMIT: Final = 1.0
"""Seconds to empty an accept queue that clients fill again and again."""


UNSENT: Final = 128 * 1024
"""Bytes of a connection that the kernel takes although its peer has no room for them yet."""


def bound_unsent(sock: socket.socket) -> None:
    """Have the kernel hold little for peers that do not read, on connections to ``sock``.

    TCP_NOTSENT_LOWAT, which connections inherit. The kernel's own bound is megabytes for each
    connection: a thousand peers that ask and do not read would slow down every other.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.Protocol],
    sock: socket.socket,
    backlog: int,
    at_once: int = ACCEPT_AT_ONCE,
) -> asyncio.AbstractServer:
    """Accept connections from a bound socket; ``backlog`` unless it has one of its own.

    asyncio accepts ``at_once`` in one turn, libuv one.
    """
    backlog = backlog_for(sock, backlog)
    at_once = min(backlog, at_once)
    if hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX:
        # The file belongs to the process that bound the socket: other workers may still serve it.
        keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        server = await loop.create_unix_server(factory, sock=sock, backlog=at_once, **keep)
    else:
        server = await loop.create_server(factory, sock=sock, backlog=at_once)
    sock.listen(backlog)
    return server


async def accept_the_rest(sockets: Iterable[socket.socket]) -> None:
    """Let the loop accept until the queue of each listening socket is empty.

    What is in a queue when its last socket closes is reset. The caller closes at once, without
    another turn of the loop.
    """
    poll = getattr(select, "poll", None)
    if poll is None:
        return
    watch = poll()
    for sock in sockets:
        if sock.fileno() >= 0:
            watch.register(sock, select.POLLIN)
    end = monotonic() + QUEUE_LIMIT
    while watch.poll(0) and monotonic() < end:  # noqa: ASYNC110 - the loop empties the queue
        await asyncio.sleep(0)


def address_of(sock: socket.socket) -> tuple[str, int] | str:
    """Where a socket listens: host and port, or the path of a Unix socket."""
    name = sock.getsockname()
    return (name[0], name[1]) if isinstance(name, tuple) else _text(name)


def fixed_endpoint(sock: socket.socket) -> tuple[str, int | None] | None:
    """The server address of every connection to ``sock``, or ``None`` where they differ."""
    address = address_of(sock)
    if isinstance(address, str):
        return address, None
    return None if address[0] in ("0.0.0.0", "::") else address


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode(errors="surrogateescape")
