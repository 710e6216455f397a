"""A stream after an extended CONNECT: nothing but bytes (RFC 8441 §5).

END_STREAM is what the end of one side is to TCP, RST_STREAM what a reset is. What the session
does not read stays here, and its window shut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http2.faults import CANCEL
from katana_asgi.net.clock import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.asgi.tunnel import ByteStream, TunnelEnd
    from katana_asgi.http.message import Field
    from katana_asgi.http2.stream import Http2Stream, StreamOwner

__all__ = ["Http2Tunnel"]

ACCEPTED: Final = 200
"""RFC 8441 §5: not 101, which HTTP/2 does not know."""


class Http2Tunnel:
    """The ``Upgradable`` of a handshake, and the ``ByteStream`` it becomes."""

    __slots__ = ("_end", "_ended", "_held", "_owner", "_paused", "_stream", "deadline")

    status = ACCEPTED

    def __init__(self, owner: StreamOwner, stream: Http2Stream) -> None:
        self._owner = owner
        self._stream = stream
        self._end: TunnelEnd | None = None  # until the application has accepted
        self._held: list[bytes] = []
        self._paused = False
        self._ended = False  # the client sends no more
        self.deadline = NEVER

    @property
    def open(self) -> bool:
        """Whether the application has accepted."""
        return self._end is not None

    # -- Upgradable ------------------------------------------------------------------------------

    def limit(self, timeout: float) -> None:
        """The application has ``timeout`` seconds to answer; 0 is no limit."""
        self.deadline = self._owner.context.clock.after(timeout) if timeout else NEVER

    def accept(self, fields: Sequence[Field], end: TunnelEnd) -> tuple[ByteStream, bytes]:
        """Answer the handshake; what comes from now on is for ``end``."""
        self._end = end
        self.deadline = NEVER
        self._stream.accept_tunnel(ACCEPTED, fields)
        return self, self._take_held()

    def _take_held(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        if data:
            self._stream.content_taken(len(data))
        return data

    # -- ByteStream ------------------------------------------------------------------------------

    @property
    def write_paused(self) -> bool:
        """Whether more is buffered than the client takes."""
        return self._stream.write_paused

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._stream.can_send:
            self._stream.send_content(data, True)

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send several pieces at once."""
        self.write(b"".join(parts))

    def pause_reading(self) -> None:
        """Keep what comes: its window is not opened again."""
        self._paused = True

    def resume_reading(self) -> None:
        """Pass on what was kept, and what comes."""
        self._paused = False
        end = self._end
        data = self._take_held()
        if end is not None and data:
            end.bytes_received(data)
        if end is not None and self._ended and not self._held:
            end.stream_ended()

    def end_writing(self) -> None:
        """Send what is buffered, then END_STREAM; go on reading."""
        if self._stream.can_send:
            self._stream.send_content(b"", False)

    def close(self) -> None:
        """Send what is buffered, then END_STREAM, and wait for that of the client."""
        self.end_writing()

    def abort(self) -> None:
        """End the stream at once."""
        if self._stream.live:
            self._owner.reset_stream(self._stream, CANCEL)

    async def drain(self) -> None:
        """Wait until the client takes more, or has gone."""
        await self._stream.drain()

    # -- the connection's side -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """The next bytes of the client."""
        if self._end is None or self._paused:
            self._held.append(data)
        else:
            self._end.bytes_received(data)
            self._stream.content_taken(len(data))

    def ended(self) -> None:
        """The client sends no more."""
        self._ended = True
        if self._end is not None and not self._held:
            self._end.stream_ended()

    def writable(self) -> None:
        """The client takes more again."""
        if self._end is not None:
            self._end.stream_writable()

    def lost(self) -> None:
        """The stream is over; comes once, last."""
        end = self._end
        if end is not None:
            self._owner.context.loop.call_soon(end.stream_lost)

    def check_deadline(self, now: float) -> None:
        """To be called at every tick."""
        if self.deadline > now:
            return
        if self._end is not None:
            self._end.deadline_passed()
        elif self._stream.exchange is not None:
            self._stream.exchange.overdue()

    def shutdown(self) -> None:
        """The worker drains."""
        if self._end is not None:
            self._end.shutdown()
