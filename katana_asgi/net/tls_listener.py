"""Listening sockets whose connections begin with a TLS handshake.

The loops accept and handshake in one; here they are two, so that a connection counts from the
moment it exists, has its time, and one that speaks plain HTTP is told so::

    accepted ──first byte 0x16──▶ handshake ──▶ a connection of its own
       └──anything else──▶ answered with 400 ──▶ closed
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from katana_asgi.net.clock import NEVER
from katana_asgi.net.listener import ACCEPT_AT_ONCE
from katana_asgi.net.tls_reading import BufferedReads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from katana_asgi.net.admission import Admission
    from katana_asgi.net.clock import Clock, Watched
    from katana_asgi.net.proxy_header import ConnectionFactory

__all__ = ["Arrival", "Arrivals", "TlsListener"]

HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection: a record with a handshake message (RFC 8446 §5.1)."""

PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\nthis address speaks https only\n"
)

LINGER: Final = 2.0
"""Seconds a client that spoke plain HTTP gets to read that this was wrong."""

DROPPED_AT_ONCE: Final = 64 * 1024
"""Bytes that are read from it at a time meanwhile; a plain close would reset the answer away."""

REST: Final = 1.0
"""Seconds without accepting after the system had no descriptor to give."""

WRITE_HIGH_WATER: Final = 64 * 1024
"""Bytes that wait for a peer before writing pauses, as without TLS; the loops take 512 KiB."""

logger = logging.getLogger("katana_asgi.error")


class Arrivals(NamedTuple):
    """What all connections that arrive at a worker share; timeouts in seconds."""

    loop: asyncio.AbstractEventLoop
    context: ssl.SSLContext
    clock: Clock
    admission: Admission
    gone: Callable[[Watched], None]  # a connection does not exist any more
    handshake_timeout: float
    shutdown_timeout: float


class TlsListener:
    """Accepts from a bound socket until it is closed; ``factory`` makes the protocols.

    ``arrive`` makes what a connection is until it has one: ``Arrival`` or a kind of it.
    ``diverts`` tells of a connection whether it has gone to another worker.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        factory: ConnectionFactory,
        sock: socket.socket,
        backlog: int,
        arrive: Callable[[Arrivals, ConnectionFactory, socket.socket], Arrival],
        diverts: Callable[[socket.socket], bool] | None = None,
    ) -> None:
        self._diverts = diverts
        self._arrivals = arrivals
        self._arrive = arrive
        self._factory = factory
        self._sock = sock
        self._at_once = min(backlog, ACCEPT_AT_ONCE)
        self._rest: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(backlog)
        self._start()

    def close(self) -> None:
        """Accept no more; connections that have arrived go on."""
        if self._rest is not None:
            self._rest.cancel()
        if self._sock.fileno() >= 0:
            self._arrivals.loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _start(self) -> None:
        self._rest = None
        self._arrivals.loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(self._at_once):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._failed(error)
                return
            if self._diverts is None or not self._diverts(sock):
                self.take(sock)

    def take(self, sock: socket.socket) -> None:
        """Go on with an accepted connection."""
        arrivals = self._arrivals
        if len(arrivals.clock.watched) > arrivals.admission.at_all:
            sock.close()  # too many even to be told
        else:
            self._arrive(arrivals, self._factory, sock)

    def _failed(self, error: OSError) -> None:
        """Say it as asyncio does, and try again later: the socket stays readable."""
        loop = self._arrivals.loop
        loop.call_exception_handler(
            {"message": "accept() failed", "exception": error, "socket": self._sock}
        )
        loop.remove_reader(self._sock.fileno())
        self._rest = loop.call_later(REST, self._start)


class Arrival(asyncio.Protocol):
    """A connection before it has a protocol; watched like those that have one."""

    idle_since: float | None = None  # it never waits for a request
    answered_since: float | None = None  # ... nor has it been answered one

    def __init__(self, arrivals: Arrivals, factory: ConnectionFactory, sock: socket.socket) -> None:
        self._arrivals = arrivals
        self._factory = factory
        self._sock = sock
        self._reading = False
        self._task: asyncio.Task[None] | None = None
        self._begun = False  # the loop has the socket
        self._came = False  # the handshake is done
        sock.setblocking(False)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.deadline = arrivals.clock.after(arrivals.handshake_timeout)
        arrivals.clock.watched.add(self)
        self._look()

    # -- before TLS ----------------------------------------------------------------------------

    def _look(self) -> None:
        """See by the first byte what the peer speaks, without taking it."""
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._read_with(self._look)
            return
        except OSError:
            first = b""
        if not first:
            self._close()
        elif first[0] == HANDSHAKE:
            self._read_with(None)
            self._task = self._arrivals.loop.create_task(self._shake_hands())
            self._task.add_done_callback(self._shaken)
        else:
            self._refuse(http=first.isalpha())

    def _refuse(self, *, http: bool) -> None:
        logger.debug("A client spoke %s where TLS was expected", "plain HTTP" if http else "none")
        try:
            if http:
                self._sock.send(PLAIN_HTTP)
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()
            return
        self.deadline = self._arrivals.clock.after(LINGER)
        self._read_with(self._drop)

    def _drop(self) -> None:
        try:
            data = self._sock.recv(DROPPED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close()

    def _read_with(self, call: Callable[[], None] | None) -> None:
        """Have ``call`` called when there is something to read; ``None``: stop that."""
        if call is not None:
            self._arrivals.loop.add_reader(self._sock.fileno(), call)
        elif self._reading:
            self._arrivals.loop.remove_reader(self._sock.fileno())
        self._reading = call is not None

    def _close(self) -> None:
        if self._task is None:
            self._read_with(None)
            self._sock.close()
        self._gone()

    def _gone(self) -> None:
        self.deadline = NEVER
        self._arrivals.gone(self)

    # -- the handshake -------------------------------------------------------------------------

    async def _shake_hands(self) -> None:
        self._begun = True
        arrivals = self._arrivals
        try:
            await arrivals.loop.connect_accepted_socket(
                lambda: self,
                self._sock,
                ssl=arrivals.context,
                ssl_handshake_timeout=arrivals.handshake_timeout,
                ssl_shutdown_timeout=arrivals.shutdown_timeout,
            )
        except OSError as error:  # of TLS, of the connection, of time
            logger.debug("A TLS handshake failed: %s", _reason(error))

    def _shaken(self, task: asyncio.Task[None]) -> None:
        if not self._begun:
            self._sock.close()  # cancelled before its first step: no transport has the socket
        if not self._came:
            self._gone()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done: make room for the connection's own protocol."""
        self._came = True
        self._gone()
        stream = cast("asyncio.Transport", transport)
        stream.set_write_buffer_limits(WRITE_HIGH_WATER)
        connection: Any = transport.get_extra_info("ssl_object")
        protocol = self._factory(connection.selected_alpn_protocol())
        stream.set_protocol(BufferedReads(protocol))
        protocol.connection_made(transport)

    # -- the clock and the worker --------------------------------------------------------------

    def deadline_passed(self) -> None:
        """It took too long."""
        self.abort()

    def wind_down(self, grace: float) -> None:
        """The worker drains: a handshake under way may end in a request within ``grace``."""
        if grace:
            self.deadline = min(self.deadline, self._arrivals.clock.after(grace))
        else:
            self.shutdown()

    def shutdown(self) -> None:
        """The worker drains: nothing was asked for yet."""
        self.abort()

    def abort(self) -> None:
        """End at once."""
        if self._task is not None:
            self.deadline = NEVER
            self._task.cancel()
        else:
            self._close()


def _reason(error: OSError) -> str:
    """One line that holds no text of the client's."""
    reason = getattr(error, "reason", None) or error.strerror
    return str(reason).replace("_", " ").lower() if reason else type(error).__name__
