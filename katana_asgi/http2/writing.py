"""What leaves a connection: frames of one turn in one write, content as windows allow.

Frames that are not flow-controlled are appended in the order in which they are made. Content
that fits into its windows while no other stream waits goes right behind its head; all other
content waits with its stream until the scheduler chooses it, a frame at a time. While the peer
does not read, everything stays here, where what is urgent can still overtake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from katana_asgi.http2.abuse import EARNED_BY_SENDING
from katana_asgi.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    frame_header,
    header_frames,
)
from katana_asgi.http2.scheduler import Scheduler

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.http2.abuse import Budget
    from katana_asgi.http2.settings import PeerSettings
    from katana_asgi.http2.stream import Http2Stream
    from katana_asgi.net.outbox import Outbox

__all__ = ["CONNECTION_HIGH_WATER", "Http2Sender"]

WRITE_SIZE: Final = 64 * 1024
"""Bytes in one write; what is more urgent can overtake behind each."""

WRITES_PER_TURN: Final = 4
"""Writes before other connections have their turn."""

CONNECTION_HIGH_WATER: Final = 256 * 1024
"""Bytes of content that wait on all streams together; above, a stream holds one message only."""

UNREAD_ANSWERS: Final = 64 * 1024
"""Bytes of frames kept for a peer that does not read before nothing more is read from it: against
floods of what has to be answered. Less could deadlock a client that sends before it reads."""


class Http2Sender:
    """One per connection."""

    __slots__ = (
        "_out",
        "_outbox",
        "_overhead",
        "_peer",
        "_registered",
        "_transport",
        "laid_off",
        "queued",
        "scheduler",
        "sent",
        "size",
        "window",
        "write_paused",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        peer: PeerSettings,
        overhead: Budget,
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._peer = peer
        self._overhead = overhead  # the peer may answer each frame of content with others
        self._out: list[bytes | memoryview] = []
        self.size = 0
        self._registered = False  # in the outbox: flush() will be called in this turn
        self.laid_off = False  # reading is paused
        self.scheduler = Scheduler()
        self.window = 65_535  # of the connection
        self.queued = 0  # bytes of content that wait on all streams
        self.sent = 0  # bytes of content
        self.write_paused = False

    @property
    def congested(self) -> bool:
        """Whether a stream that has something queued should not queue more."""
        return self.write_paused or self.queued > CONNECTION_HIGH_WATER

    @property
    def frame_size(self) -> int:
        """The largest payload that may be sent."""
        return self._peer.frame_size

    def append(self, frames: bytes) -> None:
        """Send whole frames at the end of this turn."""
        self._out.append(frames)
        self.size += len(frames)
        if not self._registered:
            self._register()
        if self.write_paused and self.size > UNREAD_ANSWERS and not self.laid_off:
            self.laid_off = True
            self._transport.pause_reading()

    def _register(self) -> None:
        self._registered = True
        self._outbox.add(self)

    # -- content ---------------------------------------------------------------------------------

    def send_head(self, stream: Http2Stream, block: bytes, content: bytes, more: bool) -> None:
        """Send a response head and its first content, in one piece where that is possible."""
        size = len(block)
        end = not (content or more)
        if size > self._peer.frame_size:
            head = header_frames(stream.id, block, end, self._peer.frame_size)
        else:
            flags = END_HEADERS | END_STREAM if end else END_HEADERS
            head = frame_header(size, HEADERS, flags, stream.id) + block
        if content and self._may_go_at_once(stream, len(content)):
            self._send_at_once(stream, head, content, more)
            return
        self.append(head)
        if content:
            self._enqueue(stream, content, more)
        elif end:
            stream.all_sent()

    def send_content(self, stream: Http2Stream, data: bytes, more: bool) -> None:
        """Send content, at once if nothing stands in its way."""
        if stream.queued or (data and not self._may_go_at_once(stream, len(data))):
            self._enqueue(stream, data, more)
        elif data or not more:
            self._send_at_once(stream, b"", data, more)

    def _send_at_once(self, stream: Http2Stream, head: bytes, data: bytes, more: bool) -> None:
        size = len(data)
        self.window -= size
        stream.send_window -= size
        stream.sent += size
        self.sent += size
        self._overhead.earn(EARNED_BY_SENDING)
        flags = 0 if more else END_STREAM
        self.append(head + frame_header(size, DATA, flags, stream.id) + data)
        if not more:
            stream.all_sent()

    def _enqueue(self, stream: Http2Stream, data: bytes, more: bool) -> None:
        stream.enqueue(data, more)
        self.queued += len(data)
        if stream.send_window > 0:
            self.schedule(stream)

    def _may_go_at_once(self, stream: Http2Stream, size: int) -> bool:
        return (
            size <= stream.send_window
            and size <= self.window
            and size <= self._peer.frame_size
            and self.size <= WRITE_SIZE
            and not self.write_paused
            and not self.scheduler
        )

    def schedule(self, stream: Http2Stream) -> None:
        """A stream has content, and its window lets some of it go."""
        self.scheduler.add(stream)
        if not self._registered and not self.write_paused:
            self._register()

    def withdraw(self, stream: Http2Stream) -> None:
        """Forget what a stream has queued: it was reset."""
        self.scheduler.remove(stream)
        self.queued -= stream.queued
        stream.clear()

    def widen(self, increment: int) -> bool:
        """The peer takes more on the connection; false where it takes more than there may be."""
        self.window += increment
        if self.scheduler and not self._registered and not self.write_paused:
            self._register()
        return self.window <= LARGEST_WINDOW

    def _fill(self) -> None:
        """Add frames of content up to the size of one write."""
        scheduler = self.scheduler
        while self.size < WRITE_SIZE:
            stream = cast("Http2Stream | None", scheduler.next())
            if stream is None:
                return
            size = min(stream.queued, stream.send_window, self.window, self._peer.frame_size)
            if size <= 0:
                if self.window <= 0:
                    return
                scheduler.remove(stream)
                continue
            self.window -= size
            stream.send_window -= size
            self.queued -= size
            self.sent += size
            self._overhead.earn(EARNED_BY_SENDING)
            last = stream.finishing and size == stream.queued
            self._out.append(frame_header(size, DATA, END_STREAM if last else 0, stream.id))
            stream.take(size, self._out)
            self.size += size
            if not stream.queued:
                scheduler.remove(stream)
                stream.queue_sent()

    # -- the transport ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has come together; called by the outbox at the end of a turn."""
        self._registered = False
        if self._transport.is_closing():
            return
        for _ in range(WRITES_PER_TURN):
            if self.write_paused:
                return
            if self.scheduler:
                self._fill()
            out = self._out
            if not out:
                return
            self._out = []
            self.size = 0
            self._transport.write(b"".join(out))
        if self._out or (self.scheduler and self.window > 0):
            self._register()

    def flush_all(self) -> None:
        """Write all frames, whether the peer reads or not: the connection ends."""
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water again."""
        self.write_paused = False
        if self.laid_off:
            self.laid_off = False
            self._transport.resume_reading()
        if not self._registered and (self._out or self.scheduler):
            self._register()
