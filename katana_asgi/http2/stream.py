"""One stream: the way of one exchange through its connection (RFC 9113 §5).

It is the ``ResponseWriter`` of its exchange. What it has to send waits here, what it receives
goes on to the exchange, or to the tunnel that an extended CONNECT has opened; windows are counted
on both sides. Which frames are allowed when is in ``states.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from katana_asgi.codec.hpack import encode_status
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.files.sending import CHUNK
from katana_asgi.http.refusal import refusal_of
from katana_asgi.http2.faults import (
    CANCEL,
    FLOW_CONTROL_ERROR,
    PROTOCOL_ERROR,
    StreamFault,
)
from katana_asgi.http2.flow import STREAM_WINDOW, Allowance, ReceiveWindow
from katana_asgi.http2.frames import LARGEST_WINDOW, header_frames, window_update
from katana_asgi.http2.responses import (
    field_block,
    refusal_block,
    response_block,
    static_block,
)
from katana_asgi.http2.states import STREAM_STATES, Change, StreamState
from katana_asgi.http2.tunnel import Http2Tunnel
from katana_asgi.net.clock import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.files.response import FileRange
    from katana_asgi.http.message import Field, RequestHead, ResponseFields
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.http2.scheduler import Priority
    from katana_asgi.http2.settings import Http2Settings
    from katana_asgi.http2.stalls import Progress
    from katana_asgi.http2.writing import Http2Sender
    from katana_asgi.net.pace import BodyPace
    from katana_asgi.routes.static import StaticResponse

__all__ = ["HIGH_WATER", "Http2Stream", "StreamOwner"]

HIGH_WATER: Final = 64 * 1024
"""Bytes that wait on one stream before ``send`` waits."""

_CAN_SEND: Final = (StreamState.OPEN, StreamState.REMOTE_ENDED)


class StreamOwner(Protocol):
    """A connection as its streams see it."""

    context: WorkerContext
    settings: Http2Settings
    sender: Http2Sender
    allowance: Allowance

    def response_begun(self, stream: Http2Stream) -> None:
        """The head of a response that goes on has been sent."""

    def stream_ended(self, stream: Http2Stream) -> None:
        """END_STREAM was sent."""

    def reset_stream(self, stream: Http2Stream, code: int) -> None:
        """End a stream before its time."""

    def refuse(self, stream: Http2Stream, refusal: Refusal) -> None:
        """Answer for the application, or break off what it began."""

    def content_waits(self) -> None:
        """A stream has content that cannot go out at once."""

    def tiny_frames_taken(self, count: int) -> None:
        """The application took the content of tiny frames."""


class Http2Stream:
    """A stream that is not over; ``head`` is ``None`` where a request was refused unread."""

    __slots__ = (
        "_arrived",
        "_expected",
        "_inbound",
        "_owner",
        "_queue",
        "_tiny",
        "_trailers",
        "_writable",
        "exchange",
        "finishing",
        "head",
        "id",
        "pace",
        "priority",
        "progress",
        "queued",
        "read_until",
        "scheduled",
        "send_window",
        "sent",
        "state",
        "tunnel",
    )

    def __init__(
        self,
        owner: StreamOwner,
        number: int,
        head: RequestHead | None,
        priority: Priority,
        send_window: int,
        state: StreamState,
    ) -> None:
        self._owner = owner
        self.id = number
        self.head = head
        self.state = state
        self.exchange: Exchange | None = None
        self.tunnel: Http2Tunnel | None = None
        # what is sent
        self.priority = priority
        self.scheduled = False  # the scheduler knows it
        self.send_window = send_window
        self.queued = 0
        self.sent = 0  # bytes of content
        self.progress: Progress | None = None  # while its window is shut
        self.finishing = False  # END_STREAM goes with the last byte that is queued
        self._queue: deque[bytes | memoryview] = deque()
        self._trailers: bytes | None = None
        self._writable: asyncio.Event | None = None
        # what is received
        self.pace: BodyPace | None = None
        self.read_until = NEVER  # when content behind a whole response has had its time
        self._inbound: ReceiveWindow | None = None
        # content bytes still to come; None: unknown
        self._expected = None if head is None else head.content_length
        self._arrived = 0.0  # when the first byte came that was not taken yet
        self._tiny = 0  # tiny frames among what was not taken yet

    def change(self, change: Change) -> None:
        """Move on; only what ``states.py`` knows can happen."""
        state = STREAM_STATES[self.state][change]
        assert state is not None  # noqa: S101 - the connection asks before
        self.state = state

    @property
    def live(self) -> bool:
        """Whether it counts against the limit (RFC 9113 §5.1.2)."""
        return self.state <= StreamState.LOCAL_ENDED

    @property
    def can_send(self) -> bool:
        """Whether END_STREAM has not been sent, nor is to be."""
        return self.state in _CAN_SEND and not self.finishing

    # -- what is received ------------------------------------------------------------------------

    def data_received(self, data: bytes, padding: int, tiny: bool) -> None:
        """Take content of a DATA frame; ``padding`` is what counts besides (RFC 9113 §6.1)."""
        inbound = self._inbound
        if inbound is None:
            inbound = self._inbound = ReceiveWindow(STREAM_WINDOW)
        size = len(data)
        if not inbound.received(size + padding):
            raise StreamFault(FLOW_CONTROL_ERROR, "more content than the window of the stream")
        if self._expected is not None:
            self._expected -= size
            if self._expected < 0:
                raise StreamFault(PROTOCOL_ERROR, "more content than announced")
        if padding:
            self._give_back(padding)
        if not data:
            return
        if not self._arrived:
            self._arrived = self._owner.context.clock.now
        self._tiny += tiny
        if self.tunnel is not None:
            self.tunnel.received(data)
        elif self.exchange is not None:
            try:
                self.exchange.content_received(data)
            except RemoteProtocolError as error:
                self._owner.refuse(self, refusal_of(error))
        else:
            self._give_back(size)  # it has been answered: what still comes is dropped

    def end_received(self) -> None:
        """END_STREAM came: the content is complete (RFC 9113 §8.1.1)."""
        if self._expected:
            raise StreamFault(PROTOCOL_ERROR, "less content than announced")
        self.change(Change.REMOTE_END)
        if self.tunnel is not None:
            self.tunnel.ended()
        elif self.exchange is not None:
            self.exchange.request_complete()

    def content_taken(self, size: int) -> None:
        """The application took content: the peer may send more."""
        inbound = self._inbound
        if self._tiny:
            self._owner.tiny_frames_taken(self._tiny)
            self._tiny = 0
        if inbound is None or self.state is not StreamState.OPEN:
            return
        increment = inbound.taken(size)
        if increment:
            # Within one tick of the clock: the application waits for the network.
            if self._arrived == self._owner.context.clock.now:
                increment += inbound.grow(self._owner.allowance)
            self._owner.sender.append(window_update(self.id, increment))
        self._arrived = 0.0

    def _give_back(self, size: int) -> None:
        assert self._inbound is not None  # noqa: S101 - it has just counted them
        increment = self._inbound.taken(size)
        if increment:
            self._owner.sender.append(window_update(self.id, increment))

    def release(self) -> None:
        """It is over: return what its window had grown by, let go of the exchange."""
        if self._inbound is not None:
            self._inbound.release(self._owner.allowance, STREAM_WINDOW)
        self.exchange = None
        if self._writable is not None:
            self._writable.set()

    # -- what is sent ----------------------------------------------------------------------------

    @property
    def write_paused(self) -> bool:
        """Whether more waits than should: of this stream, or of all while this one has its own."""
        queued = self.queued
        return queued > HIGH_WATER or (queued > 0 and self._owner.sender.congested)

    async def drain(self) -> None:
        """Wait until the peer takes more, or the stream is over."""
        while self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            self._writable.clear()
            await self._writable.wait()

    def send_response(
        self, status: int, fields: ResponseFields, length: int | None, content: bytes, more: bool
    ) -> None:
        """Send a head and its first content in one write."""
        owner = self._owner
        if not self.can_send:
            return
        block = response_block(status, fields, length, owner.settings.defaults)
        owner.sender.send_head(self, block, content, more)
        if more:
            owner.response_begun(self)

    def send_static(self, response: StaticResponse) -> None:
        """Send a static response."""
        owner = self._owner
        block = static_block(response, owner.settings.defaults)
        owner.sender.send_head(self, block, response.content, False)

    def send_refusal(self, refusal: Refusal) -> None:
        """Send a response of the server's own."""
        owner = self._owner
        head_only = self.head is not None and self.head.method == "HEAD"
        block = refusal_block(refusal, owner.settings.defaults)
        owner.sender.send_head(self, block, b"" if head_only else refusal.content, False)

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content; ``more`` false ends the response."""
        if self.can_send:
            self._owner.sender.send_content(self, data, more)

    async def send_file(self, part: FileRange, progress: Callable[[int], None]) -> None:
        """Send a part of a file in pieces that are read off the loop."""
        position = 0
        while position < part.length and self.can_send:
            if self.write_paused:
                await self.drain()
                continue
            data = await self._owner.context.reader.read(part, position, CHUNK)
            if self.can_send:
                self._owner.sender.send_content(self, data, True)
                position += len(data)
                progress(len(data))

    def send_informational(self, status: int, fields: tuple[Field, ...]) -> None:
        """Send an informational response (RFC 9113 §8.1)."""
        if self.can_send:
            self._send_block(encode_status(status) + field_block(fields), end=False)

    def accept_tunnel(self, status: int, fields: Iterable[Field]) -> None:
        """Send the head behind which there are only bytes (RFC 8441 §5)."""
        self.exchange = None
        self._send_block(encode_status(status) + field_block(fields), end=False)

    def send_trailers(self, fields: tuple[Field, ...]) -> None:
        """End the response with trailers, behind whatever waits."""
        if not self.can_send:
            return
        block = field_block(fields)
        if self.queued:
            self._trailers = block
        elif block:
            self._send_block(block, end=True)
            self.all_sent()
        else:
            self._owner.sender.send_content(self, b"", False)

    def _send_block(self, block: bytes, *, end: bool) -> None:
        sender = self._owner.sender
        sender.append(header_frames(self.id, block, end, sender.frame_size))

    def open_tunnel(self) -> Http2Tunnel:
        """What comes from now on is bytes for the tunnel (RFC 8441)."""
        self.tunnel = Http2Tunnel(self._owner, self)
        return self.tunnel

    def refuse(self, refusal: Refusal) -> None:
        """Answer for the application, or break off what it began."""
        if self.can_send:
            self._owner.refuse(self, refusal)

    def abandoned(self) -> None:
        """The application left its response where the client left it."""
        if self.can_send:
            self._owner.reset_stream(self, CANCEL)

    # -- the sender's side -----------------------------------------------------------------------

    def enqueue(self, data: bytes, more: bool) -> None:
        """Keep content until windows and scheduler let it go."""
        if data:
            self._queue.append(data)
            self.queued += len(data)
            self._owner.content_waits()
        self.finishing = not more

    def take(self, size: int, out: list[bytes | memoryview]) -> None:
        """Move ``size`` bytes of what waits to ``out``."""
        queue = self._queue
        self.queued -= size
        self.sent += size
        while size:
            piece = queue[0]
            if len(piece) <= size:
                out.append(queue.popleft())
                size -= len(piece)
            else:
                view = memoryview(piece)
                out.append(view[:size])
                queue[0] = view[size:]
                size = 0
        if not self.write_paused:
            if self._writable is not None:
                self._writable.set()
            if self.tunnel is not None:
                self.tunnel.writable()

    def queue_sent(self) -> None:
        """The last byte that waited has gone out."""
        if self._trailers is not None:
            self._send_block(self._trailers, end=True)
            self.all_sent()
        elif self.finishing:
            self.all_sent()

    def clear(self) -> None:
        """Drop what waits."""
        self._queue.clear()
        self.queued = 0

    def all_sent(self) -> None:
        """END_STREAM has gone out."""
        self._owner.stream_ended(self)

    def widen(self, increment: int) -> bool:
        """The peer takes more, or less; false where it takes more than there may be."""
        self.send_window += increment
        if self.queued:
            if self.send_window > 0:
                self._owner.sender.schedule(self)
            else:
                self._owner.sender.scheduler.remove(self)
        return self.send_window <= LARGEST_WINDOW
