"""A PROXY header in front of a TLS handshake, as a balancer sends it that passes TLS through.

The header is taken from the socket to its last byte and not one more: what follows belongs to
the handshake, which the event loop reads by itself.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

from katana_asgi.net.proxy_header import ProxyHeaderReader, log_refusal
from katana_asgi.net.proxy_protocol import LARGEST_HEADER, ProxyHeaderError, parse_proxy_header
from katana_asgi.net.tls_listener import Arrival

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.net.proxy_header import ConnectionFactory
    from katana_asgi.net.proxy_protocol import Origin
    from katana_asgi.net.tls_listener import Arrivals

__all__ = ["ProxiedArrival"]


class ProxiedArrival(Arrival):
    """Reads the header of a trusted peer before it looks for a handshake.

    ``factory`` has to make a ``ProxyHeaderReader``: it knows whom to trust, for how long to
    wait and which protocol takes over.
    """

    def __init__(self, arrivals: Arrivals, factory: ConnectionFactory, sock: socket.socket) -> None:
        self._rules = cast("ProxyHeaderReader", factory())
        self._received = b""  # of a header that is not complete
        self._successor: ConnectionFactory | None = None
        self._waits = False
        super().__init__(arrivals, self._made, sock)

    def _made(self, agreed: str | None = None, /) -> asyncio.Protocol:
        assert self._successor is not None  # noqa: S101 - no handshake before it
        return self._successor(agreed)

    def _look(self) -> None:
        if self._successor is not None:
            super()._look()
        elif self._waits:
            self._read_header()
        else:
            self._begin()

    def _begin(self) -> None:
        """See who the peer is."""
        try:
            name = self._sock.getpeername()
        except OSError:
            self._close()
            return
        if self._rules.trusts(name[0] if isinstance(name, tuple) else None):
            self._waits = True
            self.deadline = self._arrivals.clock.after(self._rules.timeout)
            self._read_header()
        else:
            self._pass_on(None)

    def _read_header(self) -> None:
        try:
            data = self._sock.recv(LARGEST_HEADER, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._read_with(self._look)
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            found = parse_proxy_header(self._received + data)
            length = len(data) if found is None else found[1] - len(self._received)
            self._received += self._sock.recv(length)
            if found is None:
                self._read_with(self._look)
            else:
                self._pass_on(found[0])
        except (ProxyHeaderError, OSError) as error:
            log_refusal(str(error))
            self._close()

    def _pass_on(self, origin: Origin | None) -> None:
        self._successor = self._rules.successor(origin)
        self._waits = False
        self.deadline = self._arrivals.clock.after(self._arrivals.handshake_timeout)
        self._look()

    def deadline_passed(self) -> None:
        """The header or the handshake took too long."""
        if self._waits:
            log_refusal("its PROXY header did not come in time")
        super().deadline_passed()
