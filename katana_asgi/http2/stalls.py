"""Clients that let content wait: which streams, and when it has been too long.

A stream whose own window is shut waits for its client; one whose window is open waits for its
turn, and only if the whole connection makes no progress is that the client's fault. Progress is
``ENOUGH`` bytes in the time allowed: windows opened a few bytes at a time are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.net.stall import ENOUGH, WriteStall, unsent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from katana_asgi.http2.stream import Http2Stream

__all__ = ["Progress", "Stalls"]


class Progress:
    """How much has been sent by when, measured anew each time it has become enough."""

    __slots__ = ("_sent", "_since")

    def __init__(self, sent: int, now: float) -> None:
        self._sent = sent
        self._since = now

    def stalled_for(self, sent: int, now: float) -> float:
        """For how many seconds less than enough has been sent."""
        if sent - self._sent >= ENOUGH:
            self._sent = sent
            self._since = now
        return now - self._since


class Stalls:
    """The waiting of one connection, from the first tick that finds some to the last."""

    __slots__ = ("_all", "_transport", "_unsent")

    def __init__(self, transport: asyncio.Transport, sent: int, now: float) -> None:
        self._transport = transport
        self._unsent = WriteStall(unsent(transport))
        self._all = Progress(sent, now)

    def transport_stalled_for(self, seconds: float) -> float:
        """For how long the client has read less than enough, ``seconds`` after the last call."""
        return self._unsent.look(unsent(self._transport), seconds)

    def overdue(
        self, waiting: Iterable[Http2Stream], sent: int, now: float, timeout: float
    ) -> list[Http2Stream]:
        """Those of the streams that have waited too long for the client."""
        all_stalled = self._all.stalled_for(sent, now) > timeout
        found = []
        for stream in waiting:
            if stream.send_window > 0:
                stream.progress = None
                stalled = all_stalled
            else:
                if stream.progress is None:
                    stream.progress = Progress(stream.sent, now)
                stalled = stream.progress.stalled_for(stream.sent, now) > timeout
            if stalled:
                found.append(stream)
        return found
