"""Whether a peer that sends no more has only half-closed its connection, or has gone."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

__all__ = ["has_ended", "has_gone"]

_ENDED: Final = getattr(select, "POLLRDHUP", 0)  # Linux
_GONE: Final = getattr(select, "POLLERR", 0) | getattr(select, "POLLHUP", 0)


def has_gone(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has reset the connection since it ended its side, or has closed both.

    Event loops do not notice while they read nothing more.
    """
    return bool(_poll(transport, 0))


def has_ended(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has ended its side, though not all that it sent has been read.

    Only Linux tells; elsewhere ``False``.
    """
    return bool(_ENDED and _poll(transport, _ENDED))


def _poll(transport: asyncio.BaseTransport, events: int) -> int:
    """Which of ``events`` have come about, or an error or hang-up, which need no asking for."""
    sock: Any = transport.get_extra_info("socket")
    poll = getattr(select, "poll", None)
    if sock is None or poll is None:
        return 0
    descriptor = sock.fileno()
    if descriptor < 0:
        return _GONE
    watch = poll()
    watch.register(descriptor, events)
    found: list[tuple[int, int]] = watch.poll(0)
    return found[0][1] if found else 0
