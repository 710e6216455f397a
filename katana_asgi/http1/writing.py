"""The writing half of an HTTP/1.1 connection: the ``ResponseWriter`` of its exchanges.

It owns what goes out: framing and persistence of the present response, and what waits to be
written. What happens behind the last byte is the connection's business.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from katana_asgi.codec import render_head
from katana_asgi.errors import ClientDisconnected
from katana_asgi.files.sending import CHUNK, SendfileUnsupported, Sending
from katana_asgi.http.status import NO_CONTENT
from katana_asgi.http1.default_lines import CLOSE, KEEP_ALIVE, PERSISTENT
from katana_asgi.http1.static_bytes import static_bytes, static_head
from katana_asgi.http1.status_lines import (
    LAST_CHUNK,
    STATUS_LINES,
    encode_chunk,
    encode_last_chunk,
    informational,
    refusal_bytes,
)
from katana_asgi.net.parts import write_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.files.response import FileRange
    from katana_asgi.http.message import Field, RequestHead, ResponseFields
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.http1.connection import Http1Connection
    from katana_asgi.http1.default_lines import DefaultLines
    from katana_asgi.routes.static import StaticResponse

__all__ = ["Http1Writer"]

JOIN_UP_TO: Final = 32 * 1024
"""Bytes of content copied behind its head to leave in one buffer; above, two buffers."""

BATCH: Final = 64 * 1024
"""Bytes of pipelined static responses written at once, before the peer is asked to take more."""

_CHUNKED: Final = b"transfer-encoding: chunked\r\n"


class Http1Writer:
    """Writes the responses of one connection; see ``ResponseWriter``.

    ``keep_alive``: the present response is not the connection's last.
    """

    __slots__ = (
        "_batch",
        "_chunked",
        "_connection",
        "_context",
        "_defaults",
        "_head",
        "_outgoing",
        "_probes",
        "_queue",
        "_queued",
        "_transport",
        "_writable",
        "batched",
        "keep_alive",
        "sending",
        "write_paused",
    )

    _transport: asyncio.Transport

    def __init__(
        self, connection: Http1Connection, context: WorkerContext, defaults: DefaultLines
    ) -> None:
        self._connection: Http1Connection | None = connection
        self._context = context
        self._defaults = defaults
        self._head: RequestHead | None = None  # of the present request
        self._chunked = False
        self._probes = 0  # zeros sent in front of the next chunk's size
        self._batch: list[bytes] | None = None  # static responses to leave in one write
        self.batched = 0  # bytes of them
        self._queue: list[bytes] | None = None  # content of this turn; None: none was sent in it
        self._queued = 0  # bytes of it
        self._outgoing: bytes | None = None  # a whole response, in the outbox
        self._writable: asyncio.Event | None = None
        self.sending: Sending | None = None  # a part of a file, by sendfile
        self.keep_alive = True
        self.write_paused = False

    def connected(self, transport: asyncio.Transport) -> None:
        """The connection has its transport."""
        self._transport = transport

    def open(self, head: RequestHead, keep_alive: bool) -> None:
        """The next response answers ``head``; the client lets the connection persist or not."""
        self._head = head
        self._chunked = False
        self.keep_alive = keep_alive

    @property
    def quiet(self) -> bool:
        """Whether nothing waits to be written here."""
        waits = self._outgoing is not None or self._batch is not None or bool(self._queue)
        return not waits and self.sending is None and not self.write_paused

    def close_behind(self) -> None:
        """The present response, or the next, is the connection's last."""
        self.keep_alive = False

    # -- ResponseWriter ------------------------------------------------------------------------

    def send_response(
        self,
        status: int,
        fields: ResponseFields,
        length: int | None,
        content: bytes,
        more: bool,
    ) -> None:
        """Send a head and its first content in one write."""
        connection, head = self._connection, self._head
        if connection is None or head is None:
            return
        context = self._context
        if self.keep_alive and (
            fields.close
            or context.draining
            or (head.content_length != 0 and not more and connection.must_close())
        ):
            self.keep_alive = False
        first = STATUS_LINES[status]
        if more and length is None and fields.content_length is None and status not in NO_CONTENT:
            content = self._begin_unbounded(head, content)
        end = CLOSE
        if self.keep_alive:
            end = PERSISTENT if head.version == "1.1" else KEEP_ALIVE
        last = self._defaults.variants[fields.own + end]
        if self._chunked:
            last = _CHUNKED + last
        if len(content) > JOIN_UP_TO:
            self.flush()
            rendered = render_head(first, fields, length, last, b"")
            write_parts(self._transport, (rendered, content))
        else:
            data = render_head(first, fields, length, last, content)
            if more or end or self._outgoing is not None:
                self._write(data)
            else:
                self._outgoing = data
                context.outbox.add(self)
        if more:
            connection.response_begun()
        else:
            self._head = None
            connection.response_complete()

    def _begin_unbounded(self, head: RequestHead, content: bytes) -> bytes:
        """Choose how content of unknown length will end (RFC 9112 §6.3)."""
        if head.method == "HEAD":
            return content
        if head.version == "1.0":
            self.keep_alive = False  # the end of the connection ends the content
            return content
        self._chunked = True
        self._probes = 0
        return encode_chunk(content) if content else b""

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content: the first of a loop turn at once, the others of it together."""
        if self._connection is None:
            return
        if len(data) > JOIN_UP_TO:
            self._send_large(data)
        elif data:
            self._probes = 0
            if self._chunked:
                data = encode_chunk(data)
            queue = self._queue
            if queue is None:
                self._write(data)
                self._queue = []
                self._context.loop.call_soon(self._end_turn)
            else:
                queue.append(data)
                self._queued += len(data)
                if self._queued > JOIN_UP_TO:
                    self._flush_queue()
        if not more:
            self._end_content(LAST_CHUNK)

    async def send_file(self, part: FileRange, progress: Callable[[int], None]) -> None:
        """Send a part of a file: by sendfile where that is possible, else in pieces."""
        self._flush_queue()
        self.flush()
        if self._connection is None or not part.length:
            return
        self._probes = MOST_PROBES  # a zero would be content now
        if self._chunked:
            self._write(b"%x\r\n" % part.length)
        if not await self._send_by_kernel(part, progress):
            await self._send_by_reading(part, progress)
        if self._chunked and self._connection is not None:
            self._write(b"\r\n")
        self._probes = 0

    async def _send_by_kernel(self, part: FileRange, progress: Callable[[int], None]) -> bool:
        """Whether sendfile could be used; where it could, all is done."""
        connection, transport = self._connection, self._transport
        if connection is None or transport.get_extra_info("ssl_object") is not None:
            return False
        sending = self.sending = Sending(transport, part, progress, self._context.reader)
        connection.file_waits()
        try:
            await sending.run()
        except SendfileUnsupported:
            return False
        except ClientDisconnected:
            # The kernel told us, and not the transport yet.
            transport.abort()
            self._check_peer()
        finally:
            self.sending = None
            if self._connection is not None:
                self._connection.file_sent()
        return True

    async def _send_by_reading(self, part: FileRange, progress: Callable[[int], None]) -> None:
        position = 0
        while position < part.length and self._connection is not None:
            if self.write_paused:
                await self.drain()
                continue
            data = await self._context.reader.read(part, position, CHUNK)
            if self._transport.is_closing():
                self._check_peer()
                return
            self._write(data)
            position += len(data)
            progress(len(data))

    def send_trailers(self, fields: tuple[Field, ...]) -> None:
        """End chunked content with trailer fields; elsewhere there is no place for them."""
        self._end_content(encode_last_chunk(fields))

    def _end_content(self, last_chunk: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._chunked:
            if self._queue is None:
                self._write(last_chunk)
            else:
                self._queue.append(last_chunk)
        self._flush_queue()
        self._head = None
        connection.response_complete()

    def send_informational(self, status: int, fields: tuple[Field, ...]) -> None:
        """Send an informational response, which HTTP/1.0 does not know (RFC 9110 §15.2)."""
        head = self._head
        if self._connection is not None and head is not None and head.version != "1.0":
            self._write(informational(status, fields))

    def content_taken(self, size: int) -> None:
        """The application took what was buffered: read on."""
        if self._connection is not None:
            self._connection.content_taken()

    def refuse(self, refusal: Refusal) -> None:
        """Answer for the application, or break off what it began."""
        if self._connection is not None:
            self._connection.refuse(refusal)

    def abandoned(self) -> None:
        """The application left its response where the client left it."""
        if self._connection is not None:
            self._connection.abandon()

    async def drain(self) -> None:
        """Wait until the peer reads on, or has gone."""
        if self._writable is not None:
            await self._writable.wait()

    # -- what waits to be written --------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        """Write, behind the response that waits in the outbox."""
        if self._outgoing is not None:
            data = self._outgoing + data
            self._outgoing = None
        self._transport.write(data)

    def flush(self) -> None:
        """Write the response that waits in the outbox, if one does."""
        data = self._outgoing
        if data is not None:
            self._outgoing = None
            self._transport.write(data)

    def _send_large(self, data: bytes) -> None:
        """Content that is not worth a copy."""
        self._flush_queue()
        self.flush()
        self._probes = 0
        if self._chunked:
            write_parts(self._transport, (b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self._write(data)
        self._check_peer()

    def _check_peer(self) -> None:
        """Notice that a write has failed.

        An application that sends without ever waiting does not let ``connection_lost`` come.
        """
        if self._connection is not None and self._transport.is_closing():
            self._connection.write_failed()

    def _flush_queue(self) -> None:
        """Write what was queued in this turn of the loop."""
        queue = self._queue
        if queue:
            self._queue = []
            self._queued = 0
            self._write(b"".join(queue))
            self._check_peer()

    def _end_turn(self) -> None:
        self._flush_queue()
        self._queue = None

    def write(self, data: bytes) -> None:
        """Write bytes that are no exchange's, behind everything that waits."""
        self.flush_batch()
        self._write(data)

    def write_refusal(self, refusal: Refusal, *, without_content: bool) -> None:
        """Write a response of the server's own, the connection's last."""
        self.keep_alive = False
        self.write(refusal_bytes(refusal, self._defaults.variants[CLOSE], head=without_content))

    def write_static(
        self, response: StaticResponse, head: RequestHead, *, keep_alive: bool, alone: bool
    ) -> None:
        """Write a static response; unless it comes ``alone``, together with others."""
        self.keep_alive = keep_alive
        end = CLOSE
        if keep_alive:
            end = PERSISTENT if head.version == "1.1" else KEEP_ALIVE
        if len(response.content) > JOIN_UP_TO and not response.lasting:
            self.flush_all()
            parts = (static_head(response, self._defaults, end), response.content)
            write_parts(self._transport, parts)
            return
        data = static_bytes(response, self._defaults, end)
        if alone and not self.batched:
            self._write(data)
            return
        batch = self._batch
        if batch is None:
            batch = self._batch = []
        batch.append(data)
        self.batched += len(data)
        if self.batched > BATCH:
            self.flush_batch()  # before more is rendered, find out whether the peer takes it

    def flush_batch(self) -> None:
        """Write the static responses that wait for one another."""
        batch = self._batch
        if batch is not None:
            self._batch = None
            self.batched = 0
            self._write(batch[0] if len(batch) == 1 else b"".join(batch))

    def flush_all(self) -> None:
        """Write everything that waits here."""
        self._flush_queue()
        self.flush_batch()
        self.flush()

    def probe(self) -> bool:
        """Send a byte that only a peer which has gone objects to, by a reset.

        In front of a chunk's size that is a zero: leading zeros change nothing (RFC 9112 §7.1).
        Returns whether there is such a byte in the present response.
        """
        if not self._chunked or self._queue is not None or self._probes >= MOST_PROBES:
            return False
        self._probes += 1
        self._write(b"0")
        return True

    # -- the transport -------------------------------------------------------------------------

    def pause(self) -> None:
        """The transport's buffer is above its high water."""
        self.write_paused = True
        self._writable = asyncio.Event()

    def resume(self) -> None:
        """The transport's buffer is below its low water again."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def drop(self) -> None:
        """Forget what waits: the connection is aborted."""
        self._outgoing = self._batch = None

    def close(self) -> None:
        """The connection is gone: let go of everything."""
        self._connection = None
        self._queue = self._outgoing = self._batch = None
        if self._writable is not None:
            self._writable.set()
        if self.sending is not None:
            self.sending.cancel(ClientDisconnected("the client has disconnected"))


MOST_PROBES: Final = 8
"""Zeros in front of one chunk's size; parsers take sixteen digits."""
