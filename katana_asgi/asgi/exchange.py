"""One request and its response meet one call of the application.

The rules of ASGI are kept here, once for every protocol version: the order of messages, content
length, content that must not be sent, and what a vanished peer means::

    INITIAL ──http.response.start──▶ STARTED ──first body──▶ STREAMING ──last body──▶ COMPLETE
                 (nothing sent)         └─────────first body is the last──────────────▲

The start waits for the first body event, so head and content leave in one write and a failure
before that still becomes a 500; but for ``HEAD_WAIT`` only, because a client may want to know that
its stream of events is open before there is one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from katana_asgi.asgi.failures import log_failure, log_unfinished, passes_on_disconnect
from katana_asgi.asgi.request_ids import own_fields
from katana_asgi.asgi.start import waits_for_thread
from katana_asgi.codec import check_fields, try_check_fields
from katana_asgi.errors import ClientDisconnected, LocalProtocolError, RemoteProtocolError
from katana_asgi.http.refusal import Blame, Refusal
from katana_asgi.http.status import FIRST_FINAL, LAST, NO_CONTENT

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.asgi_types import Message
    from katana_asgi.http.message import RequestHead, ResponseFields
    from katana_asgi.net.peer import Client, Peer

__all__ = ["HIGH_WATER", "WANTS_RAISE", "Exchange"]

HEAD_WAIT: Final = 0.1
"""Seconds that the head of a response waits for the first content."""

HIGH_WATER: Final = 64 * 1024
"""Bytes of request content buffered for an application before reading pauses."""

THREAD: Final = 1.0
"""Seconds between two checks whether a call that is to be cancelled still waits for a thread."""

MAX_PIECES: Final = 256
"""Against content that comes a few bytes at a time: each piece has the overhead of an object."""

PATIENCE: Final = 16
"""Messages to or from an application whose peer has gone before it has to give way."""

CONTENT_LENGTH: Final = b"content-length"

INITIAL: Final = 0
STARTED: Final = 1
STREAMING: Final = 2
COMPLETE: Final = 3

WANTS_RAISE: Final = "katana_asgi.raise"
"""A key of the scope that the server's own adapters set, whatever the setting ``disconnect``."""

NONE_AT_ALL: Final = -1
"""Instead of a number of bytes owed: whatever comes is dropped (HEAD, 204, 304)."""


class Exchange:
    """One exchange; its ``receive`` and ``send`` are what the application gets."""

    __slots__ = (
        "__weakref__",
        "_content",
        "_context",
        "_delivered",
        "_event",
        "_left",
        "_told",
        "_writer",
        "began",
        "buffered",
        "client",
        "content_complete",
        "continue_due",
        "disconnected",
        "fields",
        "half_closed",
        "head",
        "peer",
        "received",
        "scope",
        "sent",
        "state",
        "status",
        "task",
    )

    def __init__(
        self,
        context: WorkerContext,
        writer: ResponseWriter,
        head: RequestHead,
        peer: Peer,
        scope: dict[str, Any],
    ) -> None:
        self._context = context
        self._writer = writer
        self.head = head
        self.peer = peer
        self.scope = scope
        # Who asked, a trusted proxy's word included; the application may change its scope.
        self.client: Client = scope["client"]
        self.content_complete = head.content_length == 0
        self.continue_due = False  # the client waits for 100 before it sends content
        self.state = INITIAL
        self.status = 0
        self.fields: ResponseFields | None = None
        self._left: int | None = None  # response content owed; None: unknown; NONE_AT_ALL
        self._content: list[bytes] | None = None
        self.buffered = 0  # bytes of request content that wait for the application
        self.received = 0  # ... and all that came
        self._delivered = False  # the application has been told that the content is complete
        self._told = 0  # messages to and from an application whose peer has gone
        self.disconnected = False
        self.half_closed = False
        self._event: asyncio.Event | None = None
        self.began = 0.0  # of perf_counter(): set at the start where an observer wants it
        self.sent = 0  # content bytes given to the writer
        self.task: asyncio.Task[None] | None = None

    # -- the connection's side -------------------------------------------------------------

    def content_received(self, data: bytes) -> None:
        """Buffer request content for the application.

        Raises ``RemoteProtocolError`` (413) where it is more than the limit allows.
        """
        self.received += len(data)
        limit = self._context.limit_body
        if limit and self.received > limit:
            raise RemoteProtocolError("content too large", 413)
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
        """The peer will send nothing more but may still read.

        ``receive`` says disconnect, ``send`` goes on. Returns whether the exchange goes on.
        """
        self.half_closed = True
        if self._event is not None:
            self._event.set()
        return True

    def disconnect(self) -> None:
        """The peer has gone, or the exchange was taken from the application."""
        self.disconnected = True
        if self._event is not None:
            self._event.set()

    def cancel_in_time(self) -> None:
        """Cancel a stream whose peer has gone, unless its application ends it within the grace.

        A call that has not begun its response is left to finish: what it does may be wanted.
        """
        if self.state == STREAMING and self.task is not None:
            context = self._context
            context.loop.call_later(context.timeout_disconnect, self._cancel_stream)

    def _cancel_stream(self) -> None:
        task = self.task
        if task is None or self.state != STREAMING or self.whole or task.done():
            return
        if waits_for_thread(task):
            # It would leave its thread behind, which with a2wsgi never ends then.
            self._context.loop.call_later(THREAD, self._cancel_stream)
        else:
            task.cancel()

    def overdue(self) -> None:
        """The deadline of an exchange without content has passed; only some kinds have one."""

    @property
    def on_the_wire(self) -> bool:
        """Whether the head of the response has gone out."""
        return self.state >= STREAMING

    @property
    def whole(self) -> bool:
        """Whether the peer got all of the response, though the application may not have said so.

        A client may close as soon as it has the announced length.
        """
        return self.state == COMPLETE or (self.state == STREAMING and self._left == 0)

    # -- the application's side --------------------------------------------------------------

    async def receive(self) -> Message:
        """The ASGI ``receive``: request content, then ``http.disconnect`` again and again."""
        while True:
            if self.disconnected or self.state == COMPLETE:
                return await self._gone()
            if self._content is not None:
                return self._take_content(self._content)
            if self.content_complete and not self._delivered:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.half_closed:
                return await self._gone()
            if self.continue_due:
                self.continue_due = False
                if self.state < STREAMING:
                    self._writer.send_informational(100, ())
            if self._event is None:
                self._event = asyncio.Event()
            self._event.clear()
            await self._event.wait()

    async def _gone(self) -> Message:
        # Some applications ask again and again. But Starlette's ``is_disconnected`` cancels what
        # does not answer at once.
        await self._give_way()
        return {"type": "http.disconnect"}

    async def _give_way(self) -> None:
        """Now and then leave a turn of the loop to others."""
        self._told += 1
        if not self._told % PATIENCE:
            await asyncio.sleep(0)

    def _take_content(self, content: list[bytes]) -> Message:
        body = content[0] if len(content) == 1 else b"".join(content)
        self._content = None
        size, self.buffered = self.buffered, 0
        self.continue_due = False
        self._writer.content_taken(size)
        self._delivered = self.content_complete
        return {"type": "http.request", "body": body, "more_body": not self.content_complete}

    async def send(self, message: Message) -> None:
        """The ASGI ``send``.

        Raises ``LocalProtocolError``, ``TypeError`` or ``KeyError`` for what the application got
        wrong. After the peer has gone it does nothing, or raises ``ClientDisconnected`` (an
        ``OSError``) where ``--disconnect raise`` asks for that.
        """
        kind = message["type"]
        if kind == "http.response.body":
            if self.disconnected:
                await self._drop(message)
                return
            self._send_body(message)
            if self._writer.write_paused:
                await self._writer.drain()
        elif kind != "http.response.start":
            await self._send_other(kind, message)
        elif self.state != INITIAL:
            raise LocalProtocolError("http.response.start was sent before")
        else:
            status = message["status"]
            if type(status) is not int or not 200 <= status <= 999:
                status = _as_status(status)
            headers = message.get("headers", ())
            self.fields = try_check_fields(headers) or check_fields(headers)
            self.status = status
            self.state = STARTED
            if self.task is not None:  # else ``begin`` sees to it, when the first step is over
                self.expect_content()

    def expect_content(self) -> None:
        """The response has begun: if its content does not come soon, its head goes alone."""
        # Weakly: an exchange that ends sooner is not kept for this.
        self._context.loop.call_later(HEAD_WAIT, _send_head_of, ref(self))

    def send_head(self) -> None:
        """No content has come yet: the head goes alone."""
        if self.state != STARTED:
            return
        if self.disconnected:
            self.state = STREAMING
            self.cancel_in_time()
        else:
            self._send_body({"body": b"", "more_body": True})

    async def _send_other(self, kind: object, message: Message) -> None:
        """A message of an extension, where one is offered."""
        raise LocalProtocolError(f"unexpected message type {kind!r}")

    async def _drop(self, message: Message) -> None:
        """Content for a peer that has gone."""
        if self.state == INITIAL:
            raise LocalProtocolError("http.response.body was sent before http.response.start")
        raises = self._context.raises_disconnect or self.scope.get(WANTS_RAISE)
        if raises and not self.whole:
            raise ClientDisconnected("the client has disconnected")
        if not message.get("more_body", False):
            self.state = COMPLETE
        elif self.state == STARTED:  # it begins a stream when the peer has gone already
            self.state = STREAMING
            self.cancel_in_time()
        # An application that only sends must neither starve the others nor escape cancellation.
        # Not each time: one that streams from a generator had better be cancelled in there.
        await self._give_way()

    def _send_body(self, message: Message) -> None:
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = _as_bytes(body)
        more = bool(message.get("more_body", False))
        if self.state != STARTED:
            self._send_further(body, more)
            return
        fields = self.fields
        assert fields is not None  # noqa: S101 - set together with STARTED
        length = None
        announced = fields.content_length
        if self.status in NO_CONTENT or self.head.method == "HEAD":
            # RFC 9110 §9.3.2, §15.3.5, §15.4.5: no content, whatever the application sends.
            self._left = NONE_AT_ALL
            if announced is None and body and not more and self.status not in NO_CONTENT:
                length = len(body)
            elif announced is not None and self.status == 204:
                # RFC 9110 §8.6: never in a 204.
                fields = check_fields([pair for pair in fields.pairs if pair[0] != CONTENT_LENGTH])
            body = b""
        elif announced is None:
            if not more:
                length = len(body)
        elif more or announced != len(body):
            self._left = self._owed(announced, len(body), more)
        self.sent = len(body)
        if more:
            self.state = STREAMING
        else:
            self.state = COMPLETE
            if self._event is not None:
                self._event.set()
        self._writer.send_response(self.status, fields, length, body, more)

    def _send_further(self, body: bytes, more: bool) -> None:
        if self.state != STREAMING:
            raise LocalProtocolError(
                "the response is complete"
                if self.state == COMPLETE
                else "http.response.body was sent before http.response.start"
            )
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

    # -- how a call ends (see ``dispatch.py``) ---------------------------------------------------

    def cancelled(self) -> None:
        """The grace of a vanished peer or the shutdown budget is over, or it cancelled itself."""
        if self.state != COMPLETE and not self.disconnected:
            self.fail()

    def failed(self, error: BaseException) -> None:
        """The application raised."""
        if (self.disconnected or self.half_closed) and passes_on_disconnect(error):
            self.left_alone()  # what told it of the disconnect came out again
            return
        log_failure(error, self.head)
        if self.state != COMPLETE and not self.disconnected:
            self.fail()

    def returned_early(self) -> None:
        """The application returned, and its response is not complete."""
        if self.half_closed:
            self.left_alone()
            return
        log_unfinished(self.head, started=self.state != INITIAL)
        self.fail()

    def left_alone(self) -> None:
        """The application obeyed ``http.disconnect``: that is no error."""
        if self.state != COMPLETE and not self.disconnected:
            self._writer.abandoned()

    def fail(self, status: int = 500) -> None:
        """The application has not answered and will not."""
        self.task = None  # it ends by itself
        self._writer.refuse(
            Refusal(status, "Internal Server Error", own_fields(), Blame.APPLICATION)
        )


def _send_head_of(exchange: ref[Exchange]) -> None:
    living = exchange()
    if living is not None:
        living.send_head()


def _as_status(status: object) -> int:
    """An ``http.HTTPStatus`` or another kind of int as a plain one."""
    if isinstance(status, int) and not isinstance(status, bool):
        if FIRST_FINAL <= status <= LAST:
            return int(status)
        raise LocalProtocolError(f"status must be from 200 to 999, not {status}")
    raise TypeError(f"status must be an int, not {type(status).__name__}")


def _as_bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"body must be bytes, not {type(body).__name__}")
