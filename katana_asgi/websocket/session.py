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
from typing import TYPE_CHECKING, Any, Protocol

from katana_asgi.asgi.exchange import COMPLETE, INITIAL
from katana_asgi.asgi.failures import log_failure, passes_on_disconnect
from katana_asgi.codec import check_fields
from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.observe.record import head_without_fields
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
    from collections.abc import Sequence

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.asgi_types import Message
    from katana_asgi.http.message import Field, RequestHead
    from katana_asgi.net.peer import Peer
    from katana_asgi.websocket.handshake import Opening
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["Upgradable", "WebSocketSession"]

logger = logging.getLogger("katana_asgi.error")


class Upgradable(Protocol):
    """A handshake that a session can answer and whose connection, or stream, it takes over."""

    status: int
    """What says that it is accepted."""

    def limit(self, timeout: float) -> None:
        """The application has ``timeout`` seconds to answer; 0 is no limit."""

    def accept(self, fields: Sequence[Field], end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Answer the handshake, with these fields among others; give what follows to ``end``.

        Returns the stream, and the bytes that have come already.
        """


class WebSocketSession(WebSocketLifecycle):
    """A ``websocket`` scope's ``receive`` and ``send``, and the call that gets them."""

    __slots__ = (
        "_application_closed",
        "_connect_sent",
        "_opening",
        "_told",
        "_upgrade",
    )

    def __init__(
        self,
        context: WorkerContext,
        writer: ResponseWriter,
        head: RequestHead,
        peer: Peer,
        scope: dict[str, Any],
        upgrade: Upgradable,
        opening: Opening,
        settings: WebSocketSettings,
    ) -> None:
        super().__init__(context, writer, head, peer, scope, settings)
        self._upgrade: Upgradable | None = upgrade
        self._opening: Opening | None = opening
        self._connect_sent = False
        self._application_closed = False
        self._told = False  # the application has been told of the end
        upgrade.limit(settings.timeout_handshake)

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
                kind = "text" if type(message) is str else "bytes"
                return {"type": "websocket.receive", kind: message}
            if self._close is not None:
                if self._told:  # a turn for the others: some applications ask again and again
                    await asyncio.sleep(0)
                self._told = True
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
        upgrade, opening = self._upgrade, self._opening
        assert upgrade is not None  # noqa: S101 - let go of here, once
        assert opening is not None  # noqa: S101 - let go of here, once
        fields = check_fields(message.get("headers", ()))
        codec, pairs = open_codec(opening, self._settings, message.get("subprotocol"), fields)
        pairs += context.defaults.pairs(fields.own)
        self._codec = codec
        self._inflates = codec.compresses
        self._phase = OPEN
        self.status = upgrade.status
        # Nothing of HTTP is needed any more: an idle WebSocket should be small.
        self._upgrade = self._opening = None
        observer = context.observer
        if observer is not None:
            observer.upgraded(self)
        if observer is None or not observer.reads_fields:
            self.head = head_without_fields(self.head)
        self.opened = context.loop.time()
        self._heard = self._spoken = self._clock.now
        self._stream, held = upgrade.accept(pairs, self)
        del self._writer
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
        if self._upgrade is not None:
            self._upgrade.limit(0.0)
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
            self.fail(503)

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
        if self._close is None or not passes_on_disconnect(error):
            log_failure(error, self.head)
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
            self.fail()

    def _log(self) -> None:
        observer = self._context.observer
        if observer is None or not self.opened:
            return
        code = ABNORMAL if self._close is None else self._close[0]
        seconds = self._context.loop.time() - self.opened
        messages = (self.messages_in, self.messages_out, seconds)
        observer.closed(self, self.bytes_out, self.bytes_in, f"closed {code}", messages)


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
