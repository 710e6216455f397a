"""One stream: the way of one exchange through its connection (RFC 9113 §5).

It is the ``ResponseWriter`` of its exchange. What it has to send waits here, what it receives
goes on to the exchange; windows are counted on both sides. Which frames are allowed when is in
``states.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from katana_asgi.codec import encode_fields
from katana_asgi.codec.hpack import NAME_CODES, encode_status
from katana_asgi.http2.faults import (
    FLOW_CONTROL_ERROR,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    StreamFault,
)
from katana_asgi.http2.flow import STREAM_WINDOW, Allowance, ReceiveWindow
from katana_asgi.http2.frames import LARGEST_WINDOW, header_frames, window_update
from katana_asgi.http2.states import STREAM_STATES, Change, StreamState
from katana_asgi.http2.writing import HeaderBlock, response_block

if TYPE_CHECKING:
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.codec import Field, ResponseFields
    from katana_asgi.http2.scheduler import Priority
    from katana_asgi.http2.stalls import Progress
    from katana_asgi.http2.writing import Http2Sender

__all__ = ["HIGH_WATER", "Http2Stream", "StreamOwner"]

HIGH_WATER: Final = 64 * 1024
"""Bytes that wait on one stream before ``send`` waits."""


class StreamOwner(Protocol):
    """A connection as its streams see it."""

    sender: Http2Sender
    allowance: Allowance

    def default_fields(self, own: int) -> bytes:
        """Date, Server and so on, without those that the application sent itself."""

    def stream_ended(self, stream: Http2Stream) -> None:
        """END_STREAM was sent."""

    def reset_stream(self, stream: Http2Stream, code: int) -> None:
        """End a stream before its time."""

    def content_waits(self) -> None:
        """A stream has content that cannot go out at once."""

    def tiny_frames_taken(self, count: int) -> None:
        """The application took the content of tiny frames."""

    @property
    def now(self) -> float:
        """The time, as exact as the tick of the clock."""


class Http2Stream:
    """A stream that is not over."""

    __slots__ = (
        "_arrived",
        "_expected",
        "_head_sent",
        "_inbound",
        "_owner",
        "_queue",
        "_tiny",
        "_trailers",
        "_writable",
        "exchange",
        "finishing",
        "id",
        "priority",
        "progress",
        "queued",
        "scheduled",
        "send_window",
        "sent",
        "state",
    )

    def __init__(
        self,
        owner: StreamOwner,
        number: int,
        priority: Priority,
        send_window: int,
        expected: int | None,
    ) -> None:
        self._owner = owner
        self.id = number
        self.state = StreamState.IDLE
        self.exchange: Exchange | None = None
        # what is sent
        self.priority = priority
        self.scheduled = False  # the scheduler knows it
        self.send_window = send_window
        self.queued = 0
        self.sent = 0  # bytes of content
        self.progress: Progress | None = None  # while its window is shut
        self.finishing = False  # END_STREAM goes with the last byte that is queued
        self._queue: deque[bytes | memoryview] = deque()
        self._head_sent = False
        self._trailers: bytes | None = None
        self._writable: asyncio.Event | None = None
        # what is received
        self._inbound: ReceiveWindow | None = None
        self._expected = expected  # content bytes still to come; None: unknown
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
        if data and self.exchange is not None:
            if not self._arrived:
                self._arrived = self._owner.now
            self._tiny += tiny
            self.exchange.content_received(data)

    def end_received(self) -> None:
        """END_STREAM came: the content is complete (RFC 9113 §8.1.1)."""
        if self._expected:
            raise StreamFault(PROTOCOL_ERROR, "less content than announced")
        self.change(Change.REMOTE_END)
        if self.exchange is not None:
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
            if self._arrived == self._owner.now:
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
        wire = fields.wire
        if type(wire) is not HeaderBlock:
            wire = fields.wire = HeaderBlock(encode_fields(fields.pairs, NAME_CODES))
        owner = self._owner
        block = response_block(status, wire, length, owner.default_fields(fields.own))
        self._head_sent = True
        owner.sender.send_head(self, block, content, more)

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content; ``more`` false ends the response."""
        self._owner.sender.send_content(self, data, more)

    def send_informational(self, status: int, fields: tuple[Field, ...]) -> None:
        """Send an informational response (RFC 9113 §8.1)."""
        self._send_block(encode_status(status) + encode_fields(fields, NAME_CODES), end=False)

    def send_trailers(self, fields: tuple[Field, ...]) -> None:
        """End the response with trailers, behind whatever waits."""
        block = encode_fields(fields, NAME_CODES)
        if self.queued:
            self._trailers = block
        else:
            self._send_block(block, end=True)
            self.all_sent()

    def _send_block(self, block: bytes, *, end: bool) -> None:
        sender = self._owner.sender
        sender.append(header_frames(self.id, block, end, sender.frame_size))

    def refuse(self, status: int, fields: tuple[Field, ...] = ()) -> None:
        """The exchange failed: answer where no head has gone out, else reset."""
        if self.state not in (StreamState.OPEN, StreamState.REMOTE_ENDED):
            return
        if self._head_sent:
            self._owner.reset_stream(self, INTERNAL_ERROR)
            return
        self._head_sent = True
        wire = encode_fields(fields, NAME_CODES)
        block = response_block(status, wire, 0, self._owner.default_fields(0))
        self._owner.sender.send_head(self, block, b"", False)

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
        if self._writable is not None and not self.write_paused:
            self._writable.set()

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
