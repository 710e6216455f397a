"""The first bytes of a connection from a balancer: read its PROXY header, then step aside.

Whatever protocol comes next (HTTP/1.1, or TLS with HTTP in it) gets the transport and the bytes
behind the header, as if they had been the first.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from katana_asgi.net.clock import NEVER
from katana_asgi.net.proxy_protocol import Origin, ProxyHeaderError, parse_proxy_header
from katana_asgi.net.reset import reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.net.clock import Clock, Watched

__all__ = ["ConnectionFactory", "ProxyHeaderReader", "log_refusal"]

FRESH: Final = 2.0
"""Seconds for the header of a connection that was accepted just before the end."""

logger = logging.getLogger("katana_asgi.error")


def log_refusal(reason: str) -> None:
    """Say why a connection ends before its header was believed."""
    logger.warning("A connection of a trusted proxy was closed: %s", reason)


class ConnectionFactory(Protocol):
    """Makes the protocol of a connection."""

    def __call__(self, agreed: str | None = None, /) -> asyncio.Protocol:
        """``agreed`` is what TLS has agreed on (RFC 7301)."""


class ProxyHeaderReader(asyncio.Protocol):
    """Reads the header of one connection.

    ``successor`` returns a factory of the protocol that takes over, for the header's word.
    ``trusts`` says of a peer's address (``None``: a Unix socket) whether it is a balancer. One
    that is has to send a header within ``timeout`` seconds, or is closed. Any other peer is
    served as it is: what looks like a header is the beginning of its request.
    ``closed`` is told when the connection ends before its header is complete.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_received",
        "_since",
        "_transport",
        "deadline",
        "successor",
        "timeout",
        "trusts",
    )

    def __init__(
        self,
        clock: Clock,
        timeout: float,
        trusts: Callable[[str | None], bool],
        successor: Callable[[Origin | None], ConnectionFactory],
        closed: Callable[[Watched], None],
    ) -> None:
        self._clock = clock
        self.timeout = timeout
        self.trusts = trusts
        self.successor = successor
        self._closed = closed
        self._received = b""
        self._since = 0.0
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header of a balancer; pass every other connection on at once."""
        self._transport = cast("asyncio.Transport", transport)
        name: Any = transport.get_extra_info("peername")
        # Without an address over TCP it has gone already, and is no peer of a Unix socket.
        gone = not name and isinstance(transport.get_extra_info("sockname"), tuple)
        if not gone and self.trusts(name[0] if isinstance(name, tuple) else None):
            self._since = self._clock.now
            self.deadline = self._clock.after(self.timeout)
            self._clock.watched.add(self)
        else:
            self._pass_on(None)

    def data_received(self, data: bytes) -> None:
        """Take a part of the header."""
        if self.deadline == NEVER:
            return  # closed, and this was on its way
        self._received += data
        try:
            found = parse_proxy_header(self._received)
            if found is None:
                return
            origin, length = found
            rest = self._received[length:]
            successor = self._pass_on(origin)
        except ProxyHeaderError as error:
            self._refuse(str(error))
            return
        if rest and not self._transport.is_closing():
            successor.data_received(rest)

    def _pass_on(self, origin: Origin | None) -> asyncio.Protocol:
        successor = self.successor(origin)()
        self.deadline = NEVER
        self._clock.watched.discard(self)
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)
        return successor

    def _refuse(self, reason: str) -> None:
        log_refusal(reason)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The balancer has gone, as after a health check that only connects."""
        self.deadline = NEVER
        self._closed(self)

    # -- the clock and the worker (``Watched``) ------------------------------------------------

    def deadline_passed(self) -> None:
        """The header did not come in time."""
        self._refuse("its PROXY header did not come in time")

    def shutdown(self) -> None:
        """The worker drains; what was accepted just before may still be on its way."""
        self.deadline = min(self.deadline, self._clock.after(FRESH))

    def wind_down(self, grace: float) -> None:
        """As ``shutdown``, ``grace`` seconds at least."""
        self.deadline = min(self.deadline, self._clock.after(max(grace, FRESH)))

    def abort(self) -> None:
        """End at once."""
        self.deadline = NEVER
        reset(self._transport)

    @property
    def idle_since(self) -> float | None:
        """It waits since it was accepted."""
        return self._since

    @property
    def answered_since(self) -> float | None:
        """Nothing was asked yet."""
        return None
