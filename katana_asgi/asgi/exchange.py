"""One request and its response meet one call of the application.

The rules of ASGI (HTTP 2.5) are kept here, once for every protocol version: the order of
messages, content length, content that must not be sent, and what a vanished peer means::

    INITIAL ──http.response.start──▶ STARTED ──first body──▶ STREAMING ──last body──▶ COMPLETE
                 (nothing sent)         └─────────first body is the last──────────────▲

The start waits for the first body event, so head and content leave in one write and a
failure before that still becomes a 500.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.http.status import FIRST_FINAL, LAST, NO_CONTENT

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.asgi_types import Message

__all__ = ["HIGH_WATER", "Exchange", "says_gone"]

HIGH_WATER: Final = 64 * 1024
"""Bytes of request content buffered for an application before reading pauses."""

MAX_PIECES: Final = 256
"""Against content that comes a few bytes at a time: each piece has the overhead of an object."""

INITIAL: Final = 0
STARTED: Final = 1
STREAMING: Final = 2
COMPLETE: Final = 3

NONE_AT_ALL: Final = -1
"""Instead of a number of bytes owed: whatever comes is dropped (HEAD, 204, 304)."""

logger = logging.getLogger("katana_asgi.error")


class Exchange:
    """One exchange; its ``receive`` and ``send`` are what the application gets."""

    __slots__ = (
        "_content",
        "_context",
        "_delivered",
        "_event",
        "_head_request",
        "_left",
        "_writer",
        "began",
        "buffered",
        "client",
        "content_complete",
        "continue_due",
        "disconnected",
        "fields",
        "half_closed",
        "scope",
        "sent",
        "started",
        "state",
        "status",
        "task",
    )
    __deletable__ = ("_writer",)  # for the compiled build

    def __init__(
        self,
        context: WorkerContext,
        writer: ResponseWriter,
        scope: dict[str, Any],
    ) -> None:
        self._context = context
        self._writer = writer
        self.scope = scope
        self.client = scope["client"]  # the application may change its scope
        self.content_complete = True
        self.continue_due = False  # the client waits for 100 before it sends content
        self._head_request = scope.get("method") == "HEAD"
        self.state = INITIAL
        self.status = 0
        self.fields: ResponseFields | None = None
        self._left: int | None = None  # content bytes owed; None: unknown; NONE_AT_ALL
        self._content: list[bytes] | None = None
        self.buffered = 0
        self._delivered = False  # the application has been told that the content is complete
        self.disconnected = False
        self.half_closed = False
        self._event: asyncio.Event | None = None
        self.started = False
        self.began: float  # of perf_counter(): set at the start where somebody wants to know
        self.sent: int  # content bytes given to the writer: set with the first of them
        self.task: asyncio.Task[None] | None = None

    # -- the connection's side -------------------------------------------------------------

    def content_received(self, data: bytes) -> None:
        """Buffer request content for the application."""
        content = self._content
        if content is None:
            self._content = [data]
        else:
            content.append(data)
            if len(content) > MAX_PIECES:
                content[:] = [b"".join(content)]
        self.buffered += len(data)
        if self._event is not None:
            self._event.set()

    def request_complete(self) -> None:
        """No request content follows."""
        self.content_complete = True
        if self._event is not None:
            self._event.set()

    def half_close(self) -> bool:
        """The peer will send nothing more but may still read: ``receive`` says disconnect,
        ``send`` goes on. Returns whether the exchange goes on at all."""
        self.half_closed = True
        if self._event is not None:
            self._event.set()
        return True

    def disconnect(self) -> None:
        """The peer has gone, or the exchange was taken from the application."""
        self.disconnected = True
        if self._event is not None:
            self._event.set()

    def overdue(self) -> None:
        """The deadline of an exchange without content has passed; only some kinds have one."""

    @property
    def on_the_wire(self) -> bool:
        """Whether the head of the response has gone out."""
        return self.state >= STREAMING

    # -- the application's side --------------------------------------------------------------

    async def receive(self) -> Message:
        """The ASGI ``receive``: request content, then ``http.disconnect`` again and again."""
        while True:
            if self.disconnected or self.state == COMPLETE:
                return {"type": "http.disconnect"}
            if self._content is not None:
                return self._take_content(self._content)
            if self.content_complete and not self._delivered:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.half_closed:
                return {"type": "http.disconnect"}
            if self.continue_due:
                self.continue_due = False
                if self.state < STREAMING:
                    self._writer.send_informational(100)
            if self._event is None:
                self._event = asyncio.Event()
            self._event.clear()
            await self._event.wait()

    def _take_content(self, content: list[bytes]) -> Message:
        body = content[0] if len(content) == 1 else b"".join(content)
        self._content = None
        self.buffered = 0
        self.continue_due = False
        self._writer.content_taken()
        self._delivered = self.content_complete
        return {"type": "http.request", "body": body, "more_body": not self.content_complete}

    async def send(self, message: Message) -> None:
        """The ASGI ``send``.

        Raises ``ClientDisconnected`` (an ``OSError``) after the peer has gone, and
        ``LocalProtocolError``, ``TypeError`` or ``KeyError`` for what the application got wrong.
        """
        if self.disconnected:
            raise ClientDisconnected("the client has disconnected")
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message)
            if self._writer.write_paused:
                await self._writer.drain()
        elif kind != "http.response.start":
            raise LocalProtocolError(f"unexpected message type {kind!r}")
        elif self.state != INITIAL:
            raise LocalProtocolError("http.response.start was sent before")
        else:
            status = message["status"]
            if type(status) is not int:
                status = _as_status(status)
            if not FIRST_FINAL <= status <= LAST:
                raise LocalProtocolError(f"status must be from 200 to 999, not {status}")
            self.fields = self._context.check_fields(message.get("headers", ()))
            self.status = status
            self.state = STARTED

    def _send_body(self, message: Message) -> None:
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = _as_bytes(body)
        more = bool(message.get("more_body", False))
        state = self.state
        if state == STREAMING:
            self._send_further(body, more)
            return
        if state != STARTED:
            raise LocalProtocolError(
                "the response is complete"
                if state == COMPLETE
                else "http.response.body was sent before http.response.start"
            )
        fields = self.fields
        assert fields is not None  # noqa: S101 - set together with STARTED
        length = None
        if self._head_request or self.status in NO_CONTENT:
            fields, length = self._without_content(fields, body, more)
            body = b""
        elif fields.content_length is not None:
            if more or fields.content_length != len(body):
                self._left = self._owed(fields.content_length, len(body), more)
        elif not more:
            length = len(body)
        self.sent = len(body)
        if more:
            self.state = STREAMING
            self._writer.send_response(self.status, fields, length, body, True)
        else:
            self.state = COMPLETE
            self._writer.send_response(self.status, fields, length, body, False)
            if self._event is not None:
                self._event.set()

    def _without_content(
        self, fields: ResponseFields, body: bytes, more: bool
    ) -> tuple[ResponseFields, int | None]:
        """RFC 9110 §9.3.2, §15.3.5, §15.4.5: no content, whatever the application sends."""
        self._left = NONE_AT_ALL
        if self.status == 204 and fields.content_length is not None:
            return fields.without_length(), None
        if self._head_request and self.status not in NO_CONTENT and body and not more:
            return fields, len(body) if fields.content_length is None else None
        return fields, None

    def _send_further(self, body: bytes, more: bool) -> None:
        left = self._left
        if left is not None:
            if left == NONE_AT_ALL:
                body = b""
            else:
                self._left = self._owed(left, len(body), more)
        self.sent += len(body)
        if more:
            if body:
                self._writer.send_content(body, True)
        else:
            self.state = COMPLETE
            self._writer.send_content(body, False)
            if self._event is not None:
                self._event.set()

    @staticmethod
    def _owed(left: int, size: int, more: bool) -> int:
        """Content bytes still owed after ``size`` more of them."""
        left -= size
        if left < 0:
            raise LocalProtocolError("response content is longer than its content-length")
        if left and not more:
            raise LocalProtocolError("response content is shorter than its content-length")
        return left

    # -- how a call ends (see ``call.py``) -----------------------------------------------------

    def cancelled(self) -> None:
        """The grace of a vanished peer or the shutdown budget is over, or it cancelled itself."""
        if self.state != COMPLETE and not self.disconnected:
            self._writer.fail(500)

    def failed(self, error: BaseException) -> None:
        """The application raised."""
        if self.disconnected and says_gone(error):
            return  # what send() raised came out again: nobody is there to be told
        logger.error("Exception in ASGI application", exc_info=error)
        if self.state != COMPLETE and not self.disconnected:
            self._writer.fail(500)

    def returned_early(self) -> None:
        """The application returned, and its response is not complete."""
        if self.state == INITIAL:
            logger.error("ASGI application returned without starting a response")
        else:
            logger.error("ASGI application returned without completing its response")
        self._writer.fail(500)


def says_gone(error: BaseException) -> bool:
    """Whether an exception only passes on that the client has gone.

    Starlette and FastAPI say so with exceptions of their own, which are no ``OSError``; task
    groups wrap what they pass on.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(says_gone(each) for each in error.exceptions)
    return isinstance(error, OSError | asyncio.CancelledError) or (
        type(error).__name__ in ("ClientDisconnect", "WebSocketDisconnect")
    )


def _as_status(status: object) -> int:
    """An ``http.HTTPStatus`` or another kind of int as a plain one."""
    if isinstance(status, int) and not isinstance(status, bool):
        return int(status)
    raise TypeError(f"status must be an int, not {type(status).__name__}")


def _as_bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"body must be bytes, not {type(body).__name__}")
