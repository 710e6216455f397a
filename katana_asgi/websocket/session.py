"""One WebSocket meets one call of the application (ASGI WebSocket 2.5, RFC 6455 §7).

Before the handshake is answered a session is an exchange like any other: a denial is an
ordinary response. Once accepted it has a byte stream and the frame codec::

    CONNECTING ──accept──▶ OPEN ──close sent──▶ CLOSING ──close received, or late──▶ CLOSED
        │                    └──close received (answered), breach, or FIN────────────▲
        └──close: 403, or a denial response───▶ (an ordinary exchange)
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from katana_asgi.asgi.exchange import COMPLETE, INITIAL, says_gone
from katana_asgi.asgi.request_ids import request_id_of
from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.net.clock import NEVER
from katana_asgi.observe.record import head_of_websocket
from katana_asgi.websocket.lifecycle import (
    ABNORMAL,
    INTERNAL_ERROR,
    NORMAL,
    SERVICE_RESTART,
    WebSocketLifecycle,
)
from katana_asgi.websocket.opening import open_codec
from katana_asgi.websocket.writing import CONNECTING, OPEN

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.asgi_types import Message
    from katana_asgi.http.message import RequestHead
    from katana_asgi.observe.record import Outcome
    from katana_asgi.websocket.handshake import Upgrade
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["Upgradable", "WebSocketSession"]

logger = logging.getLogger("katana_asgi.error")


class Upgradable(Protocol):
    """A connection that a session can take over."""

    deadline: float
    """When the connection gives up on the handshake's answer, on the loop's clock."""

    @property
    def scheme(self) -> str:
        """What the connection itself is: ``http`` or ``https``."""

    def upgrade(self, response: bytes, end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Send ``response`` (a 101); give the bytes that follow to ``end``.

        Returns the stream, and the bytes that have come already.
        """


class WebSocketSession(WebSocketLifecycle):
    """A ``websocket`` scope's ``receive`` and ``send``, and the call that gets them."""

    __slots__ = (
        "_application_closed",
        "_connect_sent",
        "_connection",
        "_head",
        "_scheme",
        "_upgrade",
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
        super().__init__(context, writer, scope, settings)
        self._connection: Upgradable | None = connection
        self._upgrade: Upgrade | None = upgrade
        access = context.access
        self._head = None if access is None else head_of_websocket(head, access.reads_fields)
        self._scheme = connection.scheme
        self._connect_sent = False
        self._application_closed = False
        timeout = settings.timeout_handshake
        connection.deadline = self._clock.after(timeout) if timeout else NEVER

    # -- the application's side --------------------------------------------------------------

    async def receive(self) -> Message:
        """The ASGI ``receive``: connect, messages, then ``websocket.disconnect`` for ever."""
        if not self._connect_sent:
            self._connect_sent = True
            return {"type": "websocket.connect"}
        while True:
            if self._messages:
                message = self._messages.pop()
                self._queued -= len(message)
                if self._paused:
                    self._look_for_room()
                if type(message) is str:
                    return {"type": "websocket.receive", "text": message, "bytes": None}
                return {"type": "websocket.receive", "bytes": message, "text": None}
            if self._close is not None:
                code, reason = self._close
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._burst = False
            if self._unsent:
                self._flush()
            waiter = self._context.loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)

    async def send(self, message: Message) -> None:
        """The ASGI ``send``.

        Raises ``ClientDisconnected`` (an ``OSError``) once the WebSocket has ended, and
        ``LocalProtocolError``, ``TypeError`` or ``KeyError`` for what the application got wrong.
        """
        kind = message["type"]
        if kind == "websocket.send" and self._phase == OPEN:
            content = _content(message.get("text"), message.get("bytes"))
            codec, stream = self._codec, self._stream
            assert codec is not None  # noqa: S101 - set together with OPEN
            assert stream is not None  # noqa: S101 - set together with OPEN
            self._spoken = self._clock.now
            if self._send_message(codec, stream, content):
                await asyncio.sleep(0)
            if stream.write_paused:
                await stream.drain()
        elif self._phase != CONNECTING or self.disconnected:
            self._send_late(kind, message)
        elif kind == "websocket.accept" and self.state == INITIAL:
            self._accept(message)
        elif kind == "websocket.close" and self.state == INITIAL:
            await self._deny()
        elif kind in ("websocket.http.response.start", "websocket.http.response.body"):
            await self._respond({**message, "type": kind[len("websocket.") :]})
        else:
            raise LocalProtocolError(f"unexpected message type {kind!r}")

    def _send_late(self, kind: object, message: Message) -> None:
        """After accept: only a close is left, or nothing at all."""
        if self._application_closed:
            raise LocalProtocolError(f"{kind!r} was sent after websocket.close")
        if self._phase != OPEN:
            raise ClientDisconnected("the WebSocket has ended")
        if kind != "websocket.close":
            raise LocalProtocolError(f"unexpected message type {kind!r}")
        code, reason = message.get("code"), message.get("reason")
        self._start_close(_close_code(code), _close_reason(reason))
        self._application_closed = True

    def _accept(self, message: Message) -> None:
        context = self._context
        connection, upgrade = self._connection, self._upgrade
        assert connection is not None  # noqa: S101 - let go of here, once
        assert upgrade is not None  # noqa: S101 - let go of here, once
        fields = context.check_fields(message.get("headers", ()))
        codec, response = open_codec(
            upgrade,
            self._settings,
            message.get("subprotocol"),
            fields,
            self._clock.variants[fields.own],
        )
        self._codec = codec
        self._inflates = codec.compresses
        self._phase = OPEN
        self.status = 101
        # Nothing of HTTP is needed any more: an idle WebSocket should be small.
        self._connection = self._upgrade = None
        del self._writer
        self.opened = context.loop.time()
        self._heard = self._spoken = self._clock.now
        self._stream, held = connection.upgrade(response, self)
        self._watch(self._clock.now)
        if held:
            self.bytes_received(held)
        if context.draining:
            context.loop.call_soon(self.shutdown)  # the others have been told before

    async def _deny(self) -> None:
        """A close before accept refuses the handshake: 403."""
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await self._respond({"type": "http.response.start", "status": 403, "headers": headers})
        await self._respond({"type": "http.response.body", "body": b"Forbidden\n"})

    async def _respond(self, message: Message) -> None:
        """Part of an ordinary response instead of the upgrade; after it nothing comes."""
        if self._connection is not None:
            self._connection.deadline = NEVER
        try:
            await super().send(message)
        finally:
            if self.state == COMPLETE:
                self._tell(ABNORMAL, "")
                self._wake()

    # -- before the handshake is answered ----------------------------------------------------

    def overdue(self) -> None:
        """The application takes too long."""
        if self.state == INITIAL:
            self._writer.fail(503)

    def half_close(self) -> bool:
        """A WebSocket needs both directions."""
        return False

    def disconnect(self) -> None:
        """The peer has gone, or was refused by the server."""
        super().disconnect()
        self._tell(ABNORMAL, "")
        self._wake()

    # -- the call ----------------------------------------------------------------------------

    def cancelled(self) -> None:
        self._finish(SERVICE_RESTART if self._context.draining else INTERNAL_ERROR)

    def failed(self, error: BaseException) -> None:
        if self._close is None or not says_gone(error):
            logger.error("Exception in ASGI application", exc_info=error)
        self._finish(INTERNAL_ERROR)

    def returned_early(self) -> None:
        if self._phase != CONNECTING:
            self._finish(NORMAL)
        elif self.state != INITIAL:
            super().returned_early()
        else:
            logger.error("ASGI application returned without answering the WebSocket handshake")
            self._finish(INTERNAL_ERROR)

    def _finish(self, code: int) -> None:
        """End what the application left open."""
        if self._phase == OPEN:
            self._start_close(code, "")
        elif self._phase == CONNECTING and self.state != COMPLETE and not self.disconnected:
            self._writer.fail(500)

    def _log(self) -> None:
        access, head = self._context.access, self._head
        if access is None or head is None:
            return
        code = ABNORMAL if self._close is None else self._close[0]
        now = perf_counter()
        seconds = self._context.loop.time() - self.opened
        outcome: Outcome = (
            self.client,
            self._scheme,
            head,
            101,
            None,
            self.bytes_out,
            self.bytes_in,
            f"closed {code}",
            (self.messages_in, self.messages_out, seconds),
        )
        access.add((outcome, now, now - seconds, request_id_of(self.scope)))


def _content(text: object, data: object) -> str | bytes:
    """What a ``websocket.send`` carries; raises ``LocalProtocolError`` and ``TypeError``."""
    if data is None and isinstance(text, str):
        return text
    if (text is None) is (data is None):
        raise LocalProtocolError("websocket.send needs exactly one of text and bytes")
    if data is None:
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"bytes must be bytes, not {type(data).__name__}")
    return data if type(data) is bytes else bytes(data)


def _close_code(code: object) -> int:
    if code is None:
        return NORMAL
    if isinstance(code, int) and not isinstance(code, bool):
        return int(code)
    raise TypeError(f"code must be an int, not {type(code).__name__}")


def _close_reason(reason: object) -> str:
    if reason is None:
        return ""
    if isinstance(reason, str):
        return reason
    raise TypeError(f"reason must be a str, not {type(reason).__name__}")
