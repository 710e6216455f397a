"""How an open WebSocket reads, stays alive and ends (RFC 6455 §5.5, §7).

The peer's side of a session: frames come in here, control frames are answered here, and
whatever ends the connection ends it here. ``session.py`` draws the whole and is the
application's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.exchange import HIGH_WATER
from katana_asgi.net.clock import NEVER
from katana_asgi.websocket.events import Close, Ping, WebSocketError
from katana_asgi.websocket.writing import CLOSED, CLOSING, OPEN, WebSocketWriter

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.http.message import RequestHead
    from katana_asgi.net.peer import Peer
    from katana_asgi.websocket.codec import FrameCodec
    from katana_asgi.websocket.events import Event
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["ABNORMAL", "INTERNAL_ERROR", "NORMAL", "SERVICE_RESTART", "WebSocketLifecycle"]

NORMAL: Final = 1000
NO_CODE: Final = 1005  # the peer's close frame carried none
ABNORMAL: Final = 1006  # there was no close frame
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

NOTICE: Final = 1.0
"""Seconds an application gets to end by itself once a client was dropped on shutdown."""

INFLATE_AT_ONCE: Final = 4096
"""Bytes of compressed frames read before looking whether there is room for more: against
many small frames that each become a large message."""

OVERHEAD: Final = 64
"""Bytes an empty message takes in the queue, about: against a flood of them without a limit."""


class WebSocketLifecycle(WebSocketWriter):
    """The ``TunnelEnd`` of a WebSocket's stream."""

    __slots__ = (
        "_clock",
        "_close",
        "_heard",
        "_inflates",
        "_last",
        "_messages",
        "_paused",
        "_pinged",
        "_queued",
        "_spoken",
        "_unread",
        "_waiters",
        "bytes_in",
        "messages_in",
        "opened",
    )

    def __init__(
        self,
        context: WorkerContext,
        writer: ResponseWriter,
        head: RequestHead,
        peer: Peer,
        scope: dict[str, Any],
        settings: WebSocketSettings,
    ) -> None:
        super().__init__(context, writer, head, peer, scope, settings)
        self._clock = context.clock
        self._inflates = False
        self._messages: list[Any] = []  # for the application, the oldest last
        self._queued = 0  # bytes (or characters) of them
        self._paused = False  # the peer is not read: the application has enough to do
        self._unread: list[bytes] | None = None  # read, but not parsed for want of room
        self._last: Close | WebSocketError | None = None  # waits for the end of this turn
        self._waiters: list[asyncio.Future[None]] = []
        self._close: tuple[int, str] | None = None  # what the application is told
        self._heard = 0.0  # when anything came, on the loop's clock
        self._spoken = 0.0  # when a message came or went
        self._pinged = -1.0  # when a ping was sent; later than _heard: it was not answered yet
        self.opened = 0.0
        self.messages_in = 0
        self.bytes_in = 0  # of frames, as on the wire

    # -- what comes in -----------------------------------------------------------------------

    def bytes_received(self, data: bytes) -> None:
        """Frames from the peer."""
        codec = self._codec
        if codec is None or self._phase == CLOSED:
            return
        now = self._heard = self._clock.now
        self.bytes_in += len(data)
        if self._inflates and (self._unread is not None or len(data) > INFLATE_AT_ONCE):
            self._read_in_parts(codec, data)
            return
        events: list[Any] = codec.feed(data)
        # Nearly always: one message, and nothing before it.
        if len(events) == 1 and not self._messages and self._phase == OPEN:
            message = events[0]
            if type(message) is str or type(message) is bytes:
                self._spoken = now
                self.messages_in += 1
                self._messages = events
                self._queued = len(message)
                if self._queued > HIGH_WATER or self._settings.max_queue == 1:
                    self._look_for_room()
                self._wake()
                return
        self._take(events)

    def _read_in_parts(self, codec: FrameCodec, data: bytes) -> None:
        parts = [
            data[start : start + INFLATE_AT_ONCE] for start in range(0, len(data), INFLATE_AT_ONCE)
        ]
        parts.reverse()
        self._unread = parts if self._unread is None else parts + self._unread
        self._read_on(codec)

    def _read_on(self, codec: FrameCodec) -> None:
        """Parse what was read before, as far as there is room."""
        while self._unread and not self._paused and self._phase != CLOSED:
            self._take(codec.feed(self._unread.pop()))
        if not self._unread or self._phase == CLOSED:
            self._unread = None

    def _take(self, events: list[Event]) -> None:
        """Queue messages, answer control frames."""
        arrived: list[Any] = []
        for event in events:
            if isinstance(event, str | bytes):
                # RFC 6455 §5.5.1: data after our close is of no interest.
                if self._phase == OPEN:
                    arrived.append(event)
                    self._queued += len(event)
            else:
                self._control_received(event)
        if arrived:
            self._spoken = self._heard
            self.messages_in += len(arrived)
            arrived.reverse()
            self._messages = arrived + self._messages
            self._look_for_room()
        self._wake()
        if self._last is None:
            return
        if arrived:
            # An application that answers at once gets its answers out before the close frame.
            self._context.loop.call_soon(self._settle)
        else:
            self._settle()

    def _look_for_room(self) -> None:
        """Read while the application keeps up, else pause: memory stays bounded."""
        limit = self._settings.max_queue
        waiting = len(self._messages)
        room = self._queued + OVERHEAD * waiting <= HIGH_WATER and (not limit or waiting < limit)
        if room is not self._paused or self._phase == CLOSED or self._stream is None:
            return
        self._paused = not room
        if not room:
            self._stream.pause_reading()
            return
        if self._unread is not None and self._codec is not None:
            self._read_on(self._codec)
        if not self._paused:
            self._stream.resume_reading()

    def _control_received(self, event: Event) -> None:
        if isinstance(event, Ping):
            self._answer_ping(event.content)
        elif isinstance(event, Close | WebSocketError):
            self._last = event

    def _settle(self) -> None:
        """Act upon the last event there is."""
        event, self._last = self._last, None
        if event is None:
            return
        code = NO_CODE if event.code is None else event.code
        self._tell(code, event.reason)
        if self._phase == OPEN:
            # RFC 6455 §5.5.1: a close frame is answered with what it carried.
            self._send_close(event.code, event.reason)
        if isinstance(event, Close):
            self._end()
        else:
            self._fail()
        self._wake()

    def stream_ended(self) -> None:
        """The peer sends no more: without a close frame, or after both were exchanged."""
        self._settle()
        self._tell(ABNORMAL, "")
        self._end()
        self._wake()

    def stream_lost(self) -> None:
        """The connection is gone."""
        self._settle()
        self._tell(ABNORMAL, "")
        self._phase = CLOSED
        self._stream = self._codec = self._unread = None
        self.disconnected = True
        self._wake()
        self._log()

    # -- staying alive -----------------------------------------------------------------------

    def deadline_passed(self) -> None:
        """A ping is due, or its pong is overdue, or the peer does not answer our close."""
        if self._phase != OPEN:
            if self._stream is not None:
                self._stream.abort()
            return
        now = self._clock.now
        if self._paused:
            # We do not read: a pong that waits unread is not the peer's fault.
            self._heard = max(self._heard, self._pinged)
        settings = self._settings
        if self._pinged > self._heard and now >= self._pinged + settings.ping_timeout:
            self._give_up(ABNORMAL, INTERNAL_ERROR, "ping timeout")
        elif settings.timeout_idle and now >= self._spoken + settings.timeout_idle:
            self._give_up(NORMAL, NORMAL, "idle")
        else:
            self._watch(now)

    def _watch(self, now: float) -> None:
        """Send the ping that is due, and arrange for the next check."""
        settings = self._settings
        codec, stream = self._codec, self._stream
        if codec is None or stream is None:
            return
        due = self._spoken + settings.timeout_idle if settings.timeout_idle else NEVER
        if settings.ping_interval:
            ping_due = self._heard + settings.ping_interval
            if self._pinged <= self._heard and now >= ping_due:
                self._pinged = now
                self._write(codec.encode_ping())
            if self._pinged > self._heard:
                ping_due = self._pinged + settings.ping_timeout
            due = min(due, ping_due)
        stream.deadline = self._clock.after(due - now)

    def _give_up(self, told: int, code: int, reason: str) -> None:
        """Close on our own account; the application hears of it at once."""
        self._tell(told, reason)
        self._start_close(code, reason)
        self._wake()

    def shutdown(self) -> None:
        """The worker drains: send 1012, and end within the WebSockets' own budget."""
        budget = self._settings.timeout_shutdown
        if self._phase == OPEN:
            self._give_up(SERVICE_RESTART, SERVICE_RESTART, "")
        elif self._stream is not None:
            self._stream.deadline = min(self._stream.deadline, self._clock.after(budget))
        if self.task is not None:
            self._context.loop.call_later(budget + min(budget, NOTICE), self.task.cancel)

    # -- the end -----------------------------------------------------------------------------

    def _start_close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's, for a while (RFC 6455 §7.1.1).

        Raises ``LocalProtocolError`` for what may not stand in a close frame.
        """
        stream = self._stream
        if self._phase != OPEN or stream is None:
            return
        self._send_close(code, reason)
        self._phase = CLOSING
        self._limit_end(stream)
        if self._paused:
            # What comes now is dropped, but for the close frame.
            self._paused = False
            if self._codec is not None:
                self._read_on(self._codec)
            stream.resume_reading()

    def _limit_end(self, stream: ByteStream) -> None:
        settings = self._settings
        draining = self._context.draining
        stream.deadline = self._clock.after(
            settings.timeout_shutdown if draining else settings.timeout_close
        )

    def _end(self) -> None:
        """Both close frames are exchanged, or the peer has ended: close (§7.1.1)."""
        self._phase = CLOSED
        if self._stream is not None:
            self._flush()
            self._limit_end(self._stream)
            self._stream.close()

    def _fail(self) -> None:
        """The peer broke the protocol (§7.1.7): end our side, drop what still comes.

        Closed at once, with bytes unread, the kernel would reset the connection, and the
        peer would never see the close frame that says why.
        """
        self._phase = CLOSED
        stream = self._stream
        if stream is not None:
            self._limit_end(stream)
            stream.end_writing()
            if self._paused:
                stream.resume_reading()

    def _tell(self, code: int, reason: str) -> None:
        """Settle what the application is told; the first reason stands."""
        if self._close is None:
            self._close = (code, reason)

    def _wake(self) -> None:
        if self._messages or self._close is not None:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _log(self) -> None:
        raise NotImplementedError
