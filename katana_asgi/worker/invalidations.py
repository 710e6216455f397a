"""Invalidations of stored responses on their way between workers, through the supervisor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, get_args

from katana_asgi.cache.invalidation import Invalidation, Kind, apply, set_relay

if TYPE_CHECKING:
    from katana_asgi.worker.channel import Channel, Message

__all__ = ["apply_message", "relay_through"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LONGEST: Final = 8000
"""Bytes of a value that a message has room for; instead of a longer one everything goes."""


def relay_through(channel: Channel) -> None:
    """Have the invalidations of this process reach the others, from whatever thread they come."""
    loop = asyncio.get_running_loop()

    def relay(what: Invalidation) -> None:
        if len(what.value) > LONGEST:
            what = Invalidation("all")
        message = {
            "type": "invalidate",
            "kind": what.kind,
            "value": what.value.decode("latin-1"),
        }
        loop.call_soon_threadsafe(channel.send, message)

    set_relay(relay)


def apply_message(message: Message) -> None:
    """Apply what another worker has invalidated; what is no invalidation is passed over."""
    value = message.get("value")
    for kind in KINDS:
        if message.get("kind") == kind and isinstance(value, str):
            apply(Invalidation(kind, value.encode("latin-1", "replace")))
