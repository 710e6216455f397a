"""One WebSocket meets one call of the application (ASGI WebSocket 2.5, RFC 6455 §7).

Before the handshake is answered a session is an exchange like any other: a denial is an
ordinary response. Once accepted it has a byte stream and the frame codec::

    CONNECTING ──accept──▶ OPEN ──close sent──▶ CLOSING ──close received──▶ CLOSED
        │                    └──close received (answered)──────────────────────▲
        └──close: 403, or a denial response───▶ (an ordinary exchange)
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from katana_asgi.asgi.exchange import COMPLETE, HIGH_WATER, INITIAL, Exchange
from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.net.clock import NEVER
from katana_asgi.websocket.codec import FrameCodec
from katana_asgi.websocket.deflate import Deflate, negotiate
from katana_asgi.websocket.events import Close, Ping, WebSocketError
from katana_asgi.websocket.handshake import accept_response

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.asgi_types import Message
    from katana_asgi.http.message import RequestHead
    from katana_asgi.websocket.events import Event
    from katana_asgi.websocket.handshake import Upgrade
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["Upgradable", "WebSocketSession"]

NORMAL: Final = 1000
NO_CODE: Final = 1005  # the peer's close frame carried none
ABNORMAL: Final = 1006  # there was no close frame
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

JOIN_UP_TO: Final = 16 * 1024
"""Bytes of a message copied behind its frame's head; above, two buffers leave in one write."""

CONNECTING, OPEN, CLOSING, CLOSED = range(4)

logger = logging.getLogger("katana_asgi.error")


class Upgradable(Protocol):
    """A connection that a session can take over."""

    def upgrade(self, response: bytes, end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Send ``response`` (a 101); give the bytes that follow to ``end``.

        Returns the stream, and the bytes that have come already.
        """


class WebSocketSession(Exchange):
    """A ``websocket`` scope's ``receive`` and ``send``; the ``TunnelEnd`` of its stream."""

    __slots__ = (
        "_close",
        "_codec",
        "_connect_sent",
        "_connection",
        "_heard",
        "_last_message",
        "_messages",
        "_paused",
        "_phase",
        "_pinged",
        "_queued",
        "_settings",
        "_stream",
        "_upgrade",
        "_waiters",
        "head",
        "opened",
        "received",
        "sent",
    )

    def __init__(
        self,
        context: WorkerContext,
        connection: Upgradable,
        writer: ResponseWriter,
        scope: dict[str, Any],
        head: RequestHead,
        upgrade: Upgrade,
        settings: WebSocketSettings,
    ) -> None:
        super().__init__(context, writer, scope)
        self._connection: Upgradable | None = connection
        self._upgrade = upgrade
        self._settings = settings
        self.head = head
        self._phase = CONNECTING
        self._connect_sent = False
        self._stream: ByteStream | None = None
        self._codec: FrameCodec | None = None
        self._messages: deque[str | bytes] = deque()
        self._queued = 0  # bytes (or characters) of them
        self._paused = False
        self._waiters: list[asyncio.Future[None]] = []
        self._close: tuple[int, str] | None = None  # what the application is told
        self._heard = False  # anything since the last look
        self._last_message = 0.0  # when, on the loop's clock
        self._pinged = False
        self.opened = 0.0
        self.received = [0, 0]  # messages, bytes
        self.sent = [0, 0]

    # -- the application's side --------------------------------------------------------------

    async def receive(self) -> Message:
        """The ASGI ``receive``: connect, messages, then ``websocket.disconnect`` for ever."""
        if not self._connect_sent:
            self._connect_sent = True
            return {"type": "websocket.connect"}
        while True:
            if self._messages:
                return self._next_message()
            if self._close is not None:
                code, reason = self._close
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            waiter = self._context.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def _next_message(self) -> Message:
        message = self._messages.popleft()
        if self._paused or self._queued:
            self._queued -= len(message)
            if self._paused and self._has_room():
                self._paused = False
                if self._stream is not None:
                    self._stream.resume_reading()
        if type(message) is str:
            return {"type": "websocket.receive", "text": message, "bytes": None}
        return {"type": "websocket.receive", "bytes": message, "text": None}

    async def send(self, message: Message) -> None:
        """The ASGI ``send``.

        Raises ``ClientDisconnected`` (an ``OSError``) once the WebSocket has ended, and
        ``LocalProtocolError``, ``TypeError`` or ``KeyError`` for what the application got wrong.
        """
        kind = message["type"]
        if kind == "websocket.send" and self._phase == OPEN:
            self._send_message(message)
            stream = self._stream
            if stream is not None and stream.write_paused:
                await stream.drain()
        elif self._phase != CONNECTING or self.disconnected:
            self._send_late(kind, message)
        elif kind == "websocket.accept" and self.state == INITIAL:
            self._accept(message)
        elif kind == "websocket.close" and self.state == INITIAL:
            await self._deny()
        elif kind.startswith("websocket.http.response."):
            await super().send({**message, "type": kind[len("websocket.") :]})
        else:
            raise LocalProtocolError(f"unexpected message type {kind!r}")

    def _send_late(self, kind: str, message: Message) -> None:
        """After accept: only a close is left, or nothing at all."""
        if self._phase == OPEN and kind == "websocket.close":
            self._start_close(message.get("code", NORMAL), message.get("reason") or "")
        elif self._phase == OPEN:
            raise LocalProtocolError(f"unexpected message type {kind!r}")
        elif self._phase == CLOSING and self._close is None:
            raise LocalProtocolError(f"{kind!r} was sent after websocket.close")
        else:
            raise ClientDisconnected("the WebSocket has ended")

    def _send_message(self, message: Message) -> None:
        text = message.get("text")
        data = message.get("bytes")
        if (text is None) is (data is None):
            raise LocalProtocolError("websocket.send needs exactly one of text and bytes")
        codec, stream = self._codec, self._stream
        assert codec is not None  # noqa: S101 - set together with OPEN
        assert stream is not None  # noqa: S101 - set together with OPEN
        content = _as_text(text) if data is None else _as_bytes(data)
        self._last_message = self._context.clock.now
        sent = self.sent
        sent[0] += 1
        sent[1] += len(content)
        if len(content) > JOIN_UP_TO:
            stream.writelines(codec.encode_parts(content))
        elif type(content) is str:
            stream.write(codec.encode_text(content))
        else:
            stream.write(codec.encode_binary(content))  # type: ignore[arg-type] # str is above

    def _accept(self, message: Message) -> None:
        settings = self._settings
        context = self._context
        parameters = None
        if settings.deflate is not None:
            parameters = negotiate(self._upgrade.extensions, settings.deflate)
        fields = context.check_fields(message.get("headers", ()))
        response = accept_response(
            self._upgrade,
            subprotocol=message.get("subprotocol"),
            extension=None if parameters is None else parameters.response,
            fields=fields,
            defaults=context.clock.variants[fields.own],
        )
        deflate = None
        if parameters is not None and settings.deflate is not None:
            deflate = Deflate(parameters, settings.deflate)
        self._codec = FrameCodec(
            max_size=settings.max_size, max_fragments=settings.max_fragments, deflate=deflate
        )
        connection = self._connection
        assert connection is not None  # noqa: S101 - let go of here, once
        self._connection = None
        self._phase = OPEN
        self.status = 101
        self.opened = context.loop.time()
        self._stream, held = connection.upgrade(response, self)
        self._last_message = context.clock.now
        self._watch()
        if held:
            self.bytes_received(held)

    async def _deny(self) -> None:
        """A close before accept refuses the handshake: 403."""
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await super().send({"type": "http.response.start", "status": 403, "headers": headers})
        await super().send({"type": "http.response.body", "body": b"Forbidden\n"})

    # -- the stream's side -------------------------------------------------------------------

    def bytes_received(self, data: bytes) -> None:
        """Frames from the peer."""
        self._heard = True
        codec = self._codec
        if codec is None or self._phase == CLOSED:
            return
        for event in codec.feed(data):
            kind = type(event)
            if kind is str or kind is bytes:
                self._message_received(event)  # type: ignore[arg-type] # one of the two
            else:
                self._control_received(event)
        if self._waiters and (self._messages or self._close is not None):
            self._wake()

    def _message_received(self, message: str | bytes) -> None:
        if self._phase != OPEN:
            return  # RFC 6455 §5.5.1: data after our close is of no interest
        self._last_message = self._context.clock.now
        received = self.received
        received[0] += 1
        received[1] += len(message)
        self._messages.append(message)
        self._queued += len(message)
        if not self._paused and not self._has_room() and self._stream is not None:
            self._paused = True
            self._stream.pause_reading()

    def _has_room(self) -> bool:
        limit = self._settings.max_queue
        return self._queued <= HIGH_WATER and (not limit or len(self._messages) < limit)

    def _control_received(self, event: Event) -> None:
        codec, stream = self._codec, self._stream
        assert codec is not None  # noqa: S101 - the caller has looked
        assert stream is not None  # noqa: S101 - it is where the event came from
        if isinstance(event, Ping):
            if self._phase == OPEN:
                stream.write(codec.encode_pong(event.content))
        elif isinstance(event, Close):
            code = NO_CODE if event.code is None else event.code
            self._tell(code, event.reason)
            if self._phase == OPEN:
                # RFC 6455 §5.5.1: answer with the code received.
                stream.write(codec.encode_close(event.code))
            self._end()
        elif isinstance(event, WebSocketError):
            self._tell(event.code, event.reason)
            if self._phase == OPEN:
                stream.write(codec.encode_close(event.code, event.reason))
            self._end()

    def stream_ended(self) -> None:
        """The peer closed without a close frame, or after both were exchanged."""
        self._tell(ABNORMAL, "")
        self._wake()
        if self._stream is not None:
            self._stream.close()

    def stream_lost(self) -> None:
        """The connection is gone."""
        self._tell(ABNORMAL, "")
        self._phase = CLOSED
        self._stream = None
        self.disconnected = True
        self._wake()
        self._log()

    def deadline_passed(self) -> None:
        """A ping is due, or its pong is overdue, or the peer does not answer our close."""
        stream = self._stream
        if stream is None:
            return
        if self._phase != OPEN:
            stream.abort()
        elif self._pinged and not self._heard:
            self._tell(ABNORMAL, "ping timeout")
            self._start_close(INTERNAL_ERROR, "ping timeout")
            self._wake()
        elif self._is_idle():
            self._start_close(NORMAL, "idle")
            self._tell(NORMAL, "idle")
            self._wake()
        else:
            self._watch()

    def _is_idle(self) -> bool:
        limit = self._settings.timeout_idle
        return limit > 0 and self._context.clock.now - self._last_message >= limit

    def shutdown(self) -> None:
        """The worker drains: say so, and come to an end within the WebSockets' own budget."""
        if self._phase == OPEN:
            self._start_close(SERVICE_RESTART, "")
            self._tell(SERVICE_RESTART, "")
            self._wake()
            if self._stream is not None:
                self._stream.deadline = self._context.clock.after(self._settings.timeout_shutdown)

    # -- within ------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Arrange for the next ping, or for the next look at whether anybody is there."""
        settings = self._settings
        codec, stream = self._codec, self._stream
        if codec is None or stream is None:
            return
        clock = self._context.clock
        self._pinged = False
        if settings.ping_interval and self.opened < clock.now and not self._heard:
            stream.write(codec.encode_ping())
            self._pinged = True
            timeouts = (settings.ping_timeout or settings.ping_interval, settings.timeout_idle)
        else:
            timeouts = (settings.ping_interval, settings.timeout_idle)
        self._heard = False
        due = [timeout for timeout in timeouts if timeout]
        stream.deadline = clock.after(min(due)) if due else NEVER

    def _start_close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's, for a while (RFC 6455 §7.1.1)."""
        codec, stream = self._codec, self._stream
        if self._phase != OPEN or codec is None or stream is None:
            return
        stream.write(codec.encode_close(code, reason))
        self._phase = CLOSING
        stream.deadline = self._context.clock.after(self._settings.timeout_close)
        if self._paused:
            self._paused = False
            stream.resume_reading()

    def _end(self) -> None:
        """Both close frames are exchanged, or the peer deserves no more: close (§7.1.1)."""
        self._phase = CLOSED
        if self._stream is not None:
            self._stream.deadline = self._context.clock.after(self._settings.timeout_close)
            self._stream.close()

    def _tell(self, code: int, reason: str) -> None:
        """Settle what the application is told; the first reason stands."""
        if self._close is None:
            self._close = (code, reason)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def half_close(self) -> bool:
        """Before the handshake is answered: a WebSocket needs both directions."""
        return False

    def disconnect(self) -> None:
        """The peer has gone before the handshake was answered."""
        super().disconnect()
        self._tell(ABNORMAL, "")
        self._wake()

    # -- the call ----------------------------------------------------------------------------

    def _cancelled(self) -> None:
        self._finish(SERVICE_RESTART)

    def _failed(self, error: BaseException) -> None:
        gone = self.disconnected or self._phase == CLOSED
        if not (gone and isinstance(error, OSError)):
            logger.error("Exception in ASGI application", exc_info=error)
        self._finish(INTERNAL_ERROR)

    def _returned_early(self) -> None:
        if self._phase == CONNECTING:
            logger.error("ASGI application returned without answering the WebSocket handshake")
        self._finish(NORMAL)

    def _finish(self, code: int) -> None:
        """End what the application left open."""
        if self._phase == OPEN:
            self._start_close(code, "")
        elif self._phase == CONNECTING and self.state != COMPLETE and not self.disconnected:
            self._writer.fail(500)

    def _log(self) -> None:
        access = self._context.access
        if access is not None:
            duration = self._context.loop.time() - self.opened
            code = ABNORMAL if self._close is None else self._close[0]
            note = (
                f"closed {code} after {duration:.3f}s, "
                f"in {self.received[0]} messages {self.received[1]} bytes, "
                f"out {self.sent[0]} messages {self.sent[1]} bytes"
            )
            access.add((self.client, "WebSocket", self.head.target, "1.1", 101, note))


def _as_text(text: object) -> str:
    if isinstance(text, str):
        return text
    raise TypeError(f"text must be a str, not {type(text).__name__}")


def _as_bytes(data: object) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return data if type(data) is bytes else bytes(data)
    raise TypeError(f"bytes must be bytes, not {type(data).__name__}")
