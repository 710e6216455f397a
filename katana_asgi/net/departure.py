"""Whether a peer that sends no more has only half-closed its connection, or has gone."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["has_gone"]


def has_gone(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has reset the connection since it ended its side.

    Event loops do not notice while they read nothing more.
    """
    sock: Any = transport.get_extra_info("socket")
    poll = getattr(select, "poll", None)
    if sock is None or poll is None:
        return False
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    watch = poll()
    watch.register(descriptor, 0)  # errors and hang-ups are always reported
    return bool(watch.poll(0))
