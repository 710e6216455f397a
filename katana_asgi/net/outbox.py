"""Whole responses of one loop turn, written together at its end.

A loop turn serves every connection that had something to read. Written one by one, each
response would wake a client that is about to sleep again; written in a row they find it
awake. On a loopback with 64 connections that is worth a third of the server's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["Outbox"]

MAX_WAITING: Final = 16
"""Responses that wait for one another: most of the gain, little of the latency."""


class Sender(Protocol):
    """A connection with a response to write."""

    def flush(self) -> None:
        """Write it."""


class Outbox:
    """One per worker."""

    __slots__ = ("_loop", "_senders")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        """Have ``sender`` flushed at the end of this turn, or as soon as enough are waiting."""
        senders = self._senders
        senders.append(sender)
        if len(senders) == 1:
            self._loop.call_soon(self.flush)
        elif len(senders) >= MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits, in the order it came."""
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.flush()
