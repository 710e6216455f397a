"""The writing side of a WebSocket session: frames leave here, in order and in few writes.

``WebSocketLifecycle`` inherits it, ``session.py`` draws the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.exchange import Exchange

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.tunnel import ByteStream
    from katana_asgi.asgi.writer import ResponseWriter
    from katana_asgi.http.message import RequestHead
    from katana_asgi.net.peer import Peer
    from katana_asgi.websocket.codec import FrameCodec
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "WebSocketWriter"]

JOIN_UP_TO: Final = 16 * 1024
"""Bytes of frames that wait for one another; a larger message leaves in two buffers, uncopied."""

CONNECTING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3


class WebSocketWriter(Exchange):
    """What an open session has to send, on its stream."""

    __slots__ = (
        "_burst",
        "_codec",
        "_phase",
        "_pong",
        "_settings",
        "_stream",
        "_unsent",
        "_unsent_size",
        "bytes_out",
        "messages_out",
    )

    def __init__(
        self,
        context: WorkerContext,
        writer: ResponseWriter,
        head: RequestHead,
        peer: Peer,
        scope: dict[str, Any],
        settings: WebSocketSettings,
    ) -> None:
        super().__init__(context, writer, head, peer, scope)
        self._settings = settings
        self._phase = CONNECTING
        self._stream: ByteStream | None = None
        self._codec: FrameCodec | None = None
        self._burst = False  # a message went out since the application last waited for one
        self._unsent: list[bytes] = []  # frames that leave together, at the end of this turn
        self._unsent_size = 0
        self._pong: bytes | None = None  # owed to a peer that does not take what it gets
        self.messages_out = 0
        self.bytes_out = 0  # of frames, as on the wire

    def _send_message(self, codec: FrameCodec, stream: ByteStream, content: str | bytes) -> bool:
        """Send a message: the first since the application waited at once, the others together.

        An echo sees no delay and costs no turn of the loop, a burst is one write. Returns
        whether much was sent in a row: it is the others' turn. An application that only sends
        would starve them, and never see that its peer has gone.
        """
        burst, self._burst = self._burst, True
        if len(content) > JOIN_UP_TO:
            parts = codec.encode_parts(content)
            self._flush()
            self.bytes_out += len(parts[0]) + len(parts[1])
            stream.writelines(parts)
        else:
            frame = (
                codec.encode_text(content)
                if isinstance(content, str)
                else codec.encode_binary(content)
            )
            if burst:
                burst = self._send_with_others(frame)
            else:
                self.bytes_out += len(frame)
                stream.write(frame)
        self.messages_out += 1
        return burst

    def _send_with_others(self, frame: bytes) -> bool:
        """Queue a frame; whether the queue was full."""
        unsent = self._unsent
        unsent.append(frame)
        self._unsent_size += len(frame)
        if self._unsent_size > JOIN_UP_TO:
            self._flush()
            return True
        if len(unsent) == 1:
            self._context.outbox.add(self)
        return False

    def flush(self) -> None:
        """The turn of the loop ends, or the application waits: write the frames of a burst."""
        self._burst = False
        self._flush()

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent:
            self.bytes_out += self._unsent_size
            self._unsent_size = 0
            if self._stream is not None:
                self._stream.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))
            unsent.clear()

    def _write(self, frame: bytes) -> None:
        """Send a control frame now, behind what waits."""
        self._unsent.append(frame)
        self._unsent_size += len(frame)
        self._flush()

    def _send_close(self, code: int | None, reason: str) -> None:
        """Send a close frame.

        Raises ``LocalProtocolError`` for what may not stand in one.
        """
        codec = self._codec
        if codec is not None:
            self._write(codec.encode_close(code, reason))

    def _answer_ping(self, content: bytes) -> None:
        codec, stream = self._codec, self._stream
        if self._phase != OPEN or codec is None or stream is None:
            return
        if stream.write_paused:
            # RFC 6455 §5.5.3: one pong for the latest ping will do. Pongs that are not read
            # would be unlimited memory.
            self._pong = content
        else:
            self._write(codec.encode_pong(content))

    def stream_writable(self) -> None:
        """The peer takes data again."""
        pong, self._pong = self._pong, None
        if pong is not None:
            self._answer_ping(pong)
