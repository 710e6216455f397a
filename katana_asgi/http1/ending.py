"""How an HTTP/1.1 connection comes to its end (RFC 9112 §9.6).

The states of a connection; being told to end, lingering, closing. What leads there, reading,
deadlines and refusals, is in ``lifecycle.py``; ``connection.py`` draws the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http1.records import Http1Records
from katana_asgi.net.clock import NEVER
from katana_asgi.net.reset import end_writing, reset
from katana_asgi.net.stall import WriteStall, unsent

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.parser import RequestParser

__all__ = [
    "BUSY",
    "CLOSED",
    "DRAINING",
    "LINGER",
    "LINGERING",
    "READY",
    "RECEIVING",
    "Http1Ending",
]

LINGER: Final = 2.0
"""Seconds a peer gets to read the last answer before the connection is closed; and to send a
request on a connection that was accepted when the worker had begun to end."""

MAX_LINGER_BYTES: Final = 1024 * 1024
"""Against a peer that goes on sending after the last answer."""

READY: Final = 0
RECEIVING: Final = 1
BUSY: Final = 2
DRAINING: Final = 3
LINGERING: Final = 4
CLOSED: Final = 5


class Http1Ending(Http1Records):
    """The end of a connection, whatever brings it about."""

    __slots__ = ("_eof", "_parser", "_reading", "_stall", "_state", "_unread", "deadline")

    # Set by the subclass, whose connections are many: not another call for each of them.
    _parser: RequestParser
    _last_head: RequestHead | None
    _state: int
    _eof: bool  # the peer sends no more
    _reading: bool
    _unread: int  # bytes that may still be read and dropped
    _stall: WriteStall | None  # while more waits to be sent than should
    deadline: float

    def _resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    # -- somebody else wants it to end ---------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for a request; ``None``: it does not (see ``Watched``)."""
        if self._state != READY or self._transport.get_write_buffer_size():
            return None  # while its peer takes an answer it is not idle
        settings = self._settings
        # Before the first request the header timeout runs, after it that of keep-alive.
        used = self._last_head is not None or hasattr(self, "_head")
        return self.deadline - (settings.timeout_keep_alive if used else settings.timeout_header)

    @property
    def answered_since(self) -> float | None:
        """Since when it only waits for its peer to close; ``None``: it does not."""
        if self._state != LINGERING or unsent(self._transport):
            return None
        return self.deadline - LINGER

    def shutdown(self) -> None:
        """No further request: close at once when idle, else after the present response."""
        self._keep_alive = False
        if self._state == READY:
            self._end_idle()
        elif self._state == DRAINING:
            self._linger()  # the response has gone out; nobody wants the rest of the content

    def wind_down(self, grace: float) -> None:
        """As ``shutdown``, but a client that was not told stays for a while to be told."""
        exchange = self._exchange
        if not grace:
            self.shutdown()
        elif self._state == READY:
            self.deadline = min(self.deadline, self._context.clock.after(grace))
        elif exchange is None or not exchange.on_the_wire:
            self.shutdown()

    def look_at_writing(self) -> None:
        """Reset a peer that has stopped reading while more waits to be sent than should."""
        stall = self._stall
        if stall is None:
            self._stall = WriteStall(unsent(self._transport))
            return
        timeout = self._settings.timeout_write
        seconds = stall.look(unsent(self._transport), self._context.clock.elapsed)
        if timeout and seconds >= timeout:
            self._state = CLOSED
            self.deadline = NEVER
            reset(self._transport)

    # -- the end -------------------------------------------------------------------------------

    def _break_off(self) -> None:
        """End an incomplete response so that nobody can take it for a complete one."""
        self._flush_queue()
        if self._head.version == "1.1":
            self._close()  # the missing last chunk, or content, tells
        else:
            self._state = CLOSED
            self.deadline = NEVER
            reset(self._transport)  # without framing nothing else tells

    def _must_close(self) -> bool:
        """Whether the request's content is too much to be read only to be dropped."""
        exchange = self._exchange
        if exchange is None or exchange.content_complete:
            return False
        if exchange.continue_due:
            return True  # RFC 9110 §10.1.1: nobody knows whether the content will come
        remaining = self._parser.remaining
        return remaining is not None and remaining > self._settings.limit_unread

    def _finish(self) -> None:
        """Close after the last response; a plain close may reset it away (RFC 9112 §9.6).

        Only a client that asked for the end, and got all of its answers, sends no more.
        """
        head = self._head
        if head.version == "1.0" and not self._transport.can_write_eof():
            self._close()  # over TLS nothing else may tell where the content ends
        elif head.keep_alive or self._parser.holds or not self._parser.complete:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """RFC 9112 §9.6: end our side, go on reading for a while, then close."""
        self._flush_batch()
        self._state = LINGERING
        self._unread = MAX_LINGER_BYTES
        self.deadline = self._context.clock.after(LINGER)
        if self._eof:
            self._close()
            return
        self._resume_reading()
        self.flush()
        if self._transport.can_write_eof():  # over TLS the answer's own length has to tell
            end_writing(self._transport)

    def _linger_received(self, data: bytes) -> None:
        self._unread -= len(data)
        if self._unread < 0 and self._state == LINGERING:
            self.abort()

    def _end_idle(self) -> None:
        """Close; but linger while the answer is on its way: requests behind it would reset it."""
        self.flush()
        transport = self._transport
        # Over TLS nothing tells the peer of a lingering close, so that is for what waits here only.
        tells = transport.can_write_eof()
        if unsent(transport) if tells else transport.get_write_buffer_size():
            self._linger()
        else:
            self._close()

    def _stop_lingering(self) -> None:
        """The peer had its time; while it is still taking the answer this has not begun."""
        if self._transport.get_write_buffer_size():
            # Closed we would be deaf, and what the peer sends would reset the answer away.
            self._context.clock.stalled.add(self)
            self.deadline = self._context.clock.after(LINGER)
        else:
            self._close()

    def _close(self) -> None:
        self._flush_batch()
        self.flush()
        self._state = CLOSED
        self.deadline = NEVER
        transport = self._transport
        if transport.is_closing():
            return  # asyncio's over TLS is of no use after a second close
        transport.close()
        if transport.get_write_buffer_size():
            self._context.clock.stalled.add(self)  # the peer has to take the rest in time

    def abort(self) -> None:
        """End the connection without another byte."""
        self._outgoing = None
        self._state = CLOSED
        self.deadline = NEVER
        self._transport.abort()
