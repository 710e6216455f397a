"""How an HTTP/1.1 connection reads and how it ends (RFC 9112 §9.5, §9.6).

The states of a connection, and what does not depend on the request at hand: pausing and
resuming, refusing, lingering, closing. ``connection.py`` draws the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.asgi.exchange import HIGH_WATER
from katana_asgi.http1.encoder import refusal
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.net.clock import NEVER
from katana_asgi.net.reset import reset

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.errors import RemoteProtocolError
    from katana_asgi.http1.parser import RequestParser
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["BUSY", "CLOSED", "DRAINING", "LINGERING", "READY", "RECEIVING", "Http1Lifecycle"]

LINGER: Final = 2.0
"""Seconds a refused peer gets to read the answer before the connection is closed."""

MAX_LINGER_BYTES: Final = 1024 * 1024
"""Against a refused peer that goes on sending."""

READY, RECEIVING, BUSY, DRAINING, LINGERING, CLOSED = range(6)


class Http1Lifecycle(Http1Writer):
    """Reading, refusing and ending; the requests themselves are the subclass's."""

    __slots__ = ("_eof", "_parser", "_reading", "_state", "_unread", "deadline")

    _parser: RequestParser

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool,
        scheme: str,
    ) -> None:
        super().__init__(context, settings, server, scheme)
        self._state = READY
        self._eof = False  # the peer sends no more
        self._reading = True
        self._unread = 0  # bytes that may still be read and dropped
        self.deadline = NEVER

    def _throttle(self) -> None:
        """Pause reading while the application or the responses behind it do not keep up."""
        exchange = self._exchange
        buffered = len(self._parser.holds)
        if exchange is not None:
            buffered += exchange.buffered
        if buffered > HIGH_WATER:
            if self._reading:
                self._reading = False
                self._transport.pause_reading()
        else:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer an error for the whole connection, then let go of it."""
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            exchange.disconnect()
            if exchange.on_the_wire:
                self._break_off()
                return
        context = self._context
        head = self._head if self._state == BUSY else None
        without_content = error.without_content or (head is not None and head.method == "HEAD")
        fields = context.clock.fields
        self._flush_batch()
        self._write(refusal(error, fields, head=without_content))
        if context.access is not None:
            self._log(head, self.client, error.status)
        self._linger()

    def _break_off(self) -> None:
        """End an incomplete response so that nobody can take it for a complete one."""
        self._flush_queue()
        head = self._head
        if head.version == "1.1":
            self._close()  # the missing last chunk, or content, tells
        else:
            self._state = CLOSED
            self.deadline = NEVER
            reset(self._transport)  # without framing nothing else tells

    def _finish(self) -> None:
        """Close after the last response; with bytes unread a plain close would reset it away."""
        if self._parser.holds or not self._parser.complete:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """RFC 9112 §9.6: end our side, go on reading for a while, then close."""
        self._flush_batch()
        self._state = LINGERING
        self._unread = MAX_LINGER_BYTES
        self.deadline = self._context.clock.after(LINGER)
        if self._eof or not self._transport.can_write_eof():
            self._close()
        else:
            self._resume_reading()
            self._transport.write_eof()

    def _linger_received(self, data: bytes) -> None:
        self._unread -= len(data)
        if self._unread < 0 and self._state == LINGERING:
            self.abort()

    def _close(self) -> None:
        self._flush_batch()
        self._state = CLOSED
        self.deadline = NEVER
        self._transport.close()

    def abort(self) -> None:
        """End the connection without another byte."""
        self._state = CLOSED
        self.deadline = NEVER
        self._transport.abort()
