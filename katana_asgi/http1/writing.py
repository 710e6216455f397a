"""The writing side of an HTTP/1.1 connection: the ``ResponseWriter`` of its exchanges.

``Http1Connection`` inherits it: a writer of its own would cost a call and an object for each
response.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from katana_asgi.http.status import NO_CONTENT
from katana_asgi.http1.encoder import CONTINUE, LAST_CHUNK, encode_chunk, encode_prefix
from katana_asgi.http1.peer import Http1Peer
from katana_asgi.net.parts import write_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.batch import Batch
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["Http1Writer"]

JOIN_UP_TO: Final = 32 * 1024
"""Bytes of content copied behind its head to leave in one buffer; above, two buffers."""


class Http1Writer(Http1Peer):
    """Writes responses; what happens after the last byte is the connection's business."""

    __slots__ = (
        "_batch",
        "_chunked",
        "_exchange",
        "_head",
        "_keep_alive",
        "_outgoing",
        "_queue",
        "_queued",
        "_settings",
        "_writable",
        "_write",
        "write_paused",
    )

    _write: Callable[[bytes], None]

    def __init__(
        self,
        context: WorkerContext,
        settings: Http1Settings,
        server: Endpoint | bool,
        scheme: str,
    ) -> None:
        super().__init__(context, server, scheme)
        self._settings = settings
        self._exchange: Exchange | None = None
        self._head: RequestHead  # of the present request, set with its exchange
        self._keep_alive = True
        self._chunked = False
        self._batch: Batch | None = None  # static responses to leave in one write
        self._queue: list[bytes] | None = None  # content of this turn; None: none was sent in it
        self._queued = 0  # bytes of it
        self._outgoing: bytes | None = None  # a whole response, in the outbox
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        super().connection_made(transport)
        self._write = self._transport.write

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water."""
        self.write_paused = True
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water again."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def drain(self) -> None:
        """Wait until the peer reads on, or has gone."""
        if self._writable is not None:
            await self._writable.wait()

    def send_response(
        self,
        status: int,
        fields: ResponseFields,
        length: int | None,
        content: bytes,
        more: bool,
    ) -> None:
        """Send a head and its first content in one write."""
        context = self._context
        exchange = self._exchange
        assert exchange is not None  # noqa: S101 - it is our caller
        if (
            fields.close
            or context.draining
            or (not (more or exchange.content_complete) and self._must_close())
        ):
            self._keep_alive = False
        if more and length is None and fields.content_length is None:
            content = self._begin_unbounded(status, content)
        if not self._keep_alive:
            end = b"connection: close\r\n\r\n"
        elif self._head.version == "1.0":
            end = b"connection: keep-alive\r\n\r\n"
        else:
            end = b"\r\n"
        prefix = fields.prefixes.get((status, length, self._chunked))
        if prefix is None:
            prefix = encode_prefix(status, fields, length, chunked=self._chunked)
        if len(content) > JOIN_UP_TO:
            self.flush()
            rendered = b"".join((prefix, context.clock.variants[fields.own], end))
            write_parts(self._transport, (rendered, content))
        else:
            data = b"".join((prefix, context.clock.variants[fields.own], end, content))
            if more or not self._keep_alive or self._outgoing is not None:
                self._write(data)
            else:
                self._outgoing = data
                self._write = self._write_behind
                context.outbox.add(self)
        if not more:
            self._response_complete()

    def _write_behind(self, data: bytes) -> None:
        """Write while a response waits in the outbox: it goes first."""
        self.flush()
        self._write(data)

    def flush(self) -> None:
        """Write the response that waits in the outbox, if one does."""
        data = self._outgoing
        if data is not None:
            self._outgoing = None
            self._write = self._transport.write
            self._write(data)

    def _begin_unbounded(self, status: int, content: bytes) -> bytes:
        """Choose how content of unknown length will end (RFC 9112 §6.3)."""
        head = self._head
        if status in NO_CONTENT or head.method == "HEAD":
            return content
        if head.version == "1.1":
            self._chunked = True
            return encode_chunk(content) if content else b""
        self._keep_alive = False  # the end of the connection ends the content
        return content

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content: the first of a loop turn at once, the others of it together."""
        if len(data) > JOIN_UP_TO:
            self._send_large(data)
        elif data:
            if self._chunked:
                data = encode_chunk(data)
            if self._queue is None:
                self._write(data)
                self._queue = []
                self._context.loop.call_soon(self._end_turn)
            else:
                self._queue.append(data)
                self._queued += len(data)
                if self._queued > JOIN_UP_TO:
                    self._flush_queue()
        if not more:
            if self._chunked:
                if self._queue is None:
                    self._write(LAST_CHUNK)
                else:
                    self._queue.append(LAST_CHUNK)
            self._flush_queue()
            self._response_complete()

    def _send_large(self, data: bytes) -> None:
        """Content that is not worth a copy."""
        self._flush_queue()
        self.flush()
        if self._chunked:
            write_parts(self._transport, (b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self._write(data)
        self._look_for_peer()

    def _look_for_peer(self) -> None:
        """Tell the exchange when a write has failed.

        An application that sends without ever waiting does not let ``connection_lost`` come.
        """
        if self._exchange is not None and self._transport.is_closing():
            self._exchange.disconnect()

    def _flush_queue(self) -> None:
        """Write what was queued in this turn of the loop."""
        queue = self._queue
        if queue:
            self._queue = []
            self._queued = 0
            self._write(b"".join(queue))
            self._look_for_peer()

    def _end_turn(self) -> None:
        self._flush_queue()
        self._queue = None

    def send_informational(self, status: int) -> None:
        """Send ``100 Continue``, the one informational response in use."""
        if status == 100:
            self._write(CONTINUE)

    def _write_batch(self, batch: Batch) -> None:
        context = self._context
        self._write(batch.render(context.clock.fields))
        context.requests += len(batch.answers)
        if context.access is not None:
            for head, answer in zip(batch.heads, batch.answers, strict=True):
                self._log_answer(head, answer)

    def _flush_batch(self) -> None:
        batch = self._batch
        if batch is not None:
            self._batch = None
            if self._exchange is not None:
                batch.whole = False  # what comes next in the read is the application's
            self._write_batch(batch)

    def _must_close(self) -> bool:
        """Whether this response has to be the connection's last."""
        raise NotImplementedError

    def _response_complete(self) -> None:
        """The last byte of a response is with the transport."""
        raise NotImplementedError
