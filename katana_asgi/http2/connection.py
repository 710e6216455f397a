"""One HTTP/2 connection: frames in, streams, and how it ends (RFC 9113).

::

    data_received → frames ─ HEADERS, CONTINUATION → hpack → heads.check_head → a stream begins
                           ├ DATA → its stream → its exchange
                           ├ SETTINGS, WINDOW_UPDATE → windows → the sender
                           └ the rest
    exchange → stream (ResponseWriter) → writing.Http2Sender → one write a turn

Frames are handled in the order in which they come. What a stream gets wrong raises
``StreamFault`` and ends that stream; what a connection gets wrong raises ``ConnectionFault``. The
connection owns the states of its streams and its own; ``states.py`` has the tables.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from katana_asgi.asgi.dispatch import end_call
from katana_asgi.codec.hpack import TOO_LARGE
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.refusal import TOO_MANY_CONNECTIONS, Blame, Refusal, refusal_of
from katana_asgi.http2 import abuse
from katana_asgi.http2.blocks import BlockReader
from katana_asgi.http2.faults import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS_TIMEOUT,
    ConnectionFault,
    StreamFault,
)
from katana_asgi.http2.flow import CONNECTION_WINDOW, Allowance, ReceiveWindow
from katana_asgi.http2.frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADER_SIZE,
    LARGEST_ID,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PREFACE,
    PRIORITY_FLAG,
    PRIORITY_UPDATE,
    SETTINGS,
    frame,
    goaway,
    rst_stream,
    strip_padding,
    window_update,
)
from katana_asgi.http2.heads import check_head
from katana_asgi.http2.requests import answer
from katana_asgi.http2.scheduler import IN_TURN, Priorities, parse_priority
from katana_asgi.http2.settings import PeerSettings
from katana_asgi.http2.stalls import Stalls
from katana_asgi.http2.states import (
    CONNECTION_STATES,
    FIRST_STATES,
    FRAME_RULES,
    Change,
    ConnectionEvent,
    ConnectionState,
    Received,
    StreamState,
)
from katana_asgi.http2.stream import Http2Stream
from katana_asgi.http2.writing import Http2Sender
from katana_asgi.net.clock import EVERY_TICK, NEVER
from katana_asgi.net.pace import BodyPace

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.codec.hpack import Decoded
    from katana_asgi.http2.heads import CheckedHead
    from katana_asgi.http2.settings import Http2Settings
    from katana_asgi.net.peer import Peer

__all__ = ["Http2Connection"]

REMEMBERED_STREAMS: Final = 128
"""Streams that are over and whose end is known: frames on them may still be on their way."""

FRAMES_PER_TURN: Final = 256
"""Frames that are handled before other connections have their turn: one read may have 20,000."""

FRAMES_OF_REQUEST: Final = 8
"""What the head of a request counts as: a turn begins 32 requests."""

TIMEOUT_SETTINGS_ACK: Final = 10.0
LINGER: Final = 1.0
"""Seconds a failed connection is read on, so that the GOAWAY is not lost to a reset."""
READ_ON: Final = 1.0
"""Seconds that an upload may go on behind its whole response before it is reset. Most end sooner;
curl before version 8 loses a response together with which its stream is reset."""
ANNOUNCED_FOR: Final = 1.0
"""Seconds that a client has to read the first GOAWAY of a drain where it does not answer PING."""

_DRAIN_PING: Final = b"draining"

# Bound here, because an attribute of an enumeration costs a seventh of a microsecond.
_PREFACE, _SETTINGS = ConnectionState.PREFACE, ConnectionState.SETTINGS
_LEAVING, _FAILED = ConnectionState.LEAVING, ConnectionState.FAILED
_OPEN, _LOCAL_END = StreamState.OPEN, Change.LOCAL_END
_HEADERS, _DATA = Received.HEADERS, Received.DATA
_RST_STREAM, _WINDOW_UPDATE = Received.RST_STREAM, Received.WINDOW_UPDATE


class Http2Connection(asyncio.Protocol):
    """Serves the requests of one client."""

    __slots__ = (
        "_block_due",
        "_blocks",
        "_end_due",
        "_idle_due",
        "_last",
        "_overhead",
        "_peer_leaves",
        "_peer_settings",
        "_priorities",
        "_requests_left",
        "_resets",
        "_settings_due",
        "_stalls",
        "_state",
        "_transport",
        "_turn",
        "_uploads",
        "allowance",
        "context",
        "deadline",
        "ended",
        "inbound",
        "orphans",
        "peer",
        "sender",
        "settings",
        "streams",
        "tail",
    )

    sender: Http2Sender
    _transport: asyncio.Transport

    def __init__(self, context: WorkerContext, settings: Http2Settings, peer: Peer) -> None:
        clock = context.clock
        self.context = context
        self.settings = settings
        self.peer = peer
        self._state = _PREFACE
        self.tail = b""
        self._turn = 0  # frames in this turn
        self._blocks = BlockReader(settings)
        self._peer_settings = PeerSettings()
        self._priorities = Priorities()
        self._peer_leaves = False  # it sent GOAWAY
        self._requests_left = settings.limit_requests  # 0: no limit
        self.streams: dict[int, Http2Stream] = {}
        self._uploads: set[Http2Stream] = set()  # those whose content is not complete
        self.ended: dict[int, StreamState] = {}  # how the last few streams ended
        self._last = 0  # the highest number of a stream that was opened
        self.orphans = 0  # application calls that run on although their stream was reset
        self.inbound = ReceiveWindow(CONNECTION_WINDOW)
        self.allowance = Allowance()
        self._overhead = abuse.overhead_budget(clock)
        self._resets = abuse.reset_budget(clock)
        self._stalls: Stalls | None = None
        self._settings_due = NEVER
        self._block_due = NEVER
        self._idle_due = clock.after(LINGER if context.draining else settings.timeout_header)
        self._end_due = NEVER
        self.deadline = self._idle_due

    # -- the transport ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        stream = cast("asyncio.Transport", transport)
        self.peer.connected(stream)
        context = self.context
        admission = context.admission
        full = len(context.clock.watched) >= admission.most and not admission.has_room()
        self._begin(stream)
        if full or admission.counts_clients:
            admitted = admission.admits(self, self.peer.client, full=full)
            if admitted is None:
                self.abort()
            elif not admitted:
                self._turn_away()

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Go on with a connection that was counted already, and whose first bytes were ``data``."""
        self._begin(transport)
        self._handle(data)

    def _begin(self, transport: asyncio.Transport) -> None:
        """Send what a server sends first (RFC 9113 §3.4)."""
        self._transport = transport
        self.sender = Http2Sender(
            transport, self.context.outbox, self._peer_settings, self._overhead
        )
        self.sender.append(self.settings.opening)
        self.context.clock.watched.add(self)

    def _turn_away(self) -> None:
        """There are too many connections: nothing of it will be processed."""
        if self.context.observer is not None:
            self.context.observer.refused(self.peer, None, TOO_MANY_CONNECTIONS, None)
        self._end(ENHANCE_YOUR_CALM, TOO_MANY_CONNECTIONS.reason)

    def data_received(self, data: bytes) -> None:
        """Bytes were read."""
        if self.settings.meter is not None:
            self.settings.meter.bytes_in += len(data)
        self._handle(data)

    def _handle(self, data: bytes) -> None:
        """Handle all frames that are whole."""
        if self._state >= _FAILED:
            return
        if self.tail:
            data = self.tail + data
        self._turn = 0
        try:
            at = self._read(data)
        except ConnectionFault as fault:
            self._fail(fault)
            return
        self.tail = data[at:]
        if self._turn >= FRAMES_PER_TURN and self.tail:
            self._transport.pause_reading()
            self.context.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Handle what was put off so that others had a turn."""
        if self._transport.is_closing():
            return
        if not self.sender.laid_off:
            self._transport.resume_reading()
        self._handle(b"")

    def eof_received(self) -> bool:
        """The client sends no more; a connection without it cannot go on."""
        return False

    def pause_writing(self) -> None:
        """The transport's buffer is above its high water."""
        self.sender.pause_writing()
        self.context.clock.stalled.add(self)

    def resume_writing(self) -> None:
        """The transport's buffer is below its low water again."""
        self.sender.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._move(ConnectionEvent.LOST)
        for stream in list(self.streams.values()):
            stream.change(Change.REMOTE_RESET)
            self._abandon(stream)
        self.tail = b""
        self.context.clock.stalled.discard(self)
        self.context.connection_closed(self)

    def _move(self, event: ConnectionEvent) -> None:
        self._state = CONNECTION_STATES.get((self._state, event), self._state)

    # -- frames ----------------------------------------------------------------------------------

    def _read(self, data: bytes) -> int:
        """Handle frames; returns where the first one begins that is not whole."""
        at = 0
        if self._state is _PREFACE:
            at = self._read_preface(data)
        end = len(data)
        unpack = FRAME_HEADER.unpack_from
        while end - at >= HEADER_SIZE and self._turn < FRAMES_PER_TURN:
            if not _PREFACE < self._state < _FAILED:
                break
            high, low, kind, flags, number = unpack(data, at)
            size = high << 8 | low
            if size > MAX_FRAME_SIZE:
                raise ConnectionFault(FRAME_SIZE_ERROR, "frame above the largest size")
            begin = at + HEADER_SIZE
            if end - begin < size:
                break
            at = begin + size
            number &= LARGEST_ID
            self._turn += 1
            if self._state is _SETTINGS:
                self._first_frame(kind, flags)
            partial = self._blocks.partial
            if partial is not None and (kind != CONTINUATION or number != partial.stream):
                raise ConnectionFault(PROTOCOL_ERROR, "header block interrupted")
            try:
                if kind < len(_HANDLERS):
                    _HANDLERS[kind](self, flags, number, data[begin:at])
                elif kind == PRIORITY_UPDATE:
                    self._on_priority_update(number, data[begin:at])
                else:
                    self._overhead.spend()  # RFC 9113 §5.5: unknown types are ignored
            except StreamFault as fault:
                self._reset(number, fault)
        return at

    def _read_preface(self, data: bytes) -> int:
        if not data.startswith(PREFACE):
            if PREFACE.startswith(data):
                return 0
            raise ConnectionFault(PROTOCOL_ERROR, "not the preface of HTTP/2")
        self._move(ConnectionEvent.PREFACE_SEEN)
        return len(PREFACE)

    def _first_frame(self, kind: int, flags: int) -> None:
        """RFC 9113 §3.4: SETTINGS, which may be empty, follows the preface."""
        if kind != SETTINGS or flags & ACK:
            raise ConnectionFault(PROTOCOL_ERROR, "no SETTINGS behind the preface")
        self._move(ConnectionEvent.SETTINGS_SEEN)
        clock = self.context.clock
        self._idle_due = clock.idle_deadline
        self._settings_due = clock.after(TIMEOUT_SETTINGS_ACK)
        self.deadline = min(self._idle_due, self._settings_due)
        if self.context.draining:
            self.shutdown()

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if not self.inbound.received(size):
            raise ConnectionFault(FLOW_CONTROL_ERROR, "more content than the window")
        increment = self.inbound.taken(size)
        if increment:
            self.sender.append(window_update(0, increment))
        # First: wrong padding is an error whatever the stream is.
        data = strip_padding(payload) if flags & PADDED else payload
        ends = flags & END_STREAM
        tiny = not ends and len(data) < abuse.TINY
        if tiny:
            self._overhead.spend()
        stream = self._stream(number, _DATA)
        if stream is None:
            return
        stream.data_received(data, size - len(data), tiny)
        if ends and stream.live:  # what came may have been too much for the exchange
            self._end_received(stream)

    def _end_received(self, stream: Http2Stream) -> None:
        self._uploads.discard(stream)
        tunnel = stream.tunnel
        was_last = stream.state is StreamState.LOCAL_ENDED
        stream.end_received()
        if was_last:
            self._forget(stream)
        elif tunnel is not None and not tunnel.open and stream.live:
            self.reset_stream(stream, CANCEL)  # a tunnel needs both directions

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:  # zero, or a number of ours
            raise ConnectionFault(PROTOCOL_ERROR, "HEADERS on a stream no client can open")
        if flags & PADDED:
            payload = strip_padding(payload)
        if flags & PRIORITY_FLAG:  # RFC 9113 §5.3.2: deprecated, and ignored
            if len(payload) < 5:
                raise ConnectionFault(FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & END_HEADERS:
            self._on_block(number, bool(flags & END_STREAM), payload)
        else:
            self._blocks.begin(number, bool(flags & END_STREAM), payload)
            self._block_due = self.context.clock.after(self.settings.timeout_header)
            self.deadline = min(self.deadline, self._block_due)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        partial = self._blocks.partial
        if partial is None:
            raise ConnectionFault(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        partial.add(payload)
        if flags & END_HEADERS:
            self._blocks.partial = None
            self._block_due = NEVER
            self._on_block(number, partial.end_stream, partial.joined())

    def _on_block(self, number: int, ends: bool, block: bytes) -> None:
        """A header block is complete: a request, or trailers."""
        decoded = self._blocks.decode(block)
        self._turn += FRAMES_OF_REQUEST - 1
        if number > self._last:
            self._last = number
            self._open(number, ends, decoded)
            return
        stream = self._stream(number, _HEADERS)
        if stream is None:
            self._overhead.spend()
            return
        # Trailers: checked and dropped, as in HTTP/1.1 (RFC 9113 §8.1).
        if not ends or decoded[2] or decoded[4]:
            raise StreamFault(PROTOCOL_ERROR, "malformed trailers")
        self._end_received(stream)

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        """RFC 9113 §6.3: deprecated; only its form is checked."""
        self._overhead.spend()
        if not number:
            raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY on no stream")
        if len(payload) != 5:
            if number in self.streams:
                raise StreamFault(FRAME_SIZE_ERROR, "PRIORITY of a wrong length")
            raise ConnectionFault(FRAME_SIZE_ERROR, "PRIORITY of a wrong length")

    def _on_rst_stream(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
        stream = self._stream(number, _RST_STREAM)
        self._resets.spend()
        if stream is not None:
            stream.change(Change.REMOTE_RESET)
            self._abandon(stream)

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if payload:
                raise ConnectionFault(FRAME_SIZE_ERROR, "acknowledgement with settings")
            self._settings_due = NEVER
            return
        self._overhead.spend(abuse.COST_OF_SETTINGS)
        change = self._peer_settings.apply(payload)
        self._priorities.aware = self._priorities.aware or bool(self._peer_settings.rfc9218)
        self.sender.append(frame(SETTINGS, ACK, 0, b""))
        if change:  # RFC 9113 §6.9.2
            for stream in self.streams.values():
                if not stream.widen(change):
                    raise ConnectionFault(FLOW_CONTROL_ERROR, "window of a stream too large")

    def _on_push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise ConnectionFault(PROTOCOL_ERROR, "a client cannot push")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "PING of a wrong length")
        self._overhead.spend()
        if not flags & ACK:
            self.sender.append(frame(PING, ACK, 0, payload))
        elif payload == _DRAIN_PING and self._state is ConnectionState.ANNOUNCED:
            self._leave()

    def _on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "GOAWAY of a wrong length")
        self._overhead.spend()
        self._peer_leaves = True
        if not self.streams:
            self._close(NO_ERROR)

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
        self._overhead.spend()
        increment = int.from_bytes(payload) & LARGEST_ID
        if not number:
            if not increment:
                raise ConnectionFault(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            if not self.sender.widen(increment):
                raise ConnectionFault(FLOW_CONTROL_ERROR, "window of the connection too large")
            return
        stream = self._stream(number, _WINDOW_UPDATE)
        if stream is None:
            return
        if not increment:
            raise StreamFault(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if not stream.widen(increment):
            raise StreamFault(FLOW_CONTROL_ERROR, "window too large")

    def _on_priority_update(self, number: int, payload: bytes) -> None:
        """RFC 9218 §7.1."""
        self._overhead.spend()
        if number:
            raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY_UPDATE on a stream")
        if len(payload) < 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "PRIORITY_UPDATE of a wrong length")
        meant = int.from_bytes(payload[:4]) & LARGEST_ID
        if not meant & 1:
            raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY_UPDATE for what is no request")
        priority = parse_priority(payload[4:])
        stream = self.streams.get(meant)
        if stream is not None:
            self._priorities.aware = True
            self.sender.scheduler.change(stream, priority)
        elif meant > self._last:
            self._priorities.keep(meant, priority)

    # -- streams ---------------------------------------------------------------------------------

    def _stream(self, number: int, received: Received) -> Http2Stream | None:
        """The stream that a frame belongs to; ``None`` where the frame is to be ignored."""
        stream = self.streams.get(number)
        if stream is not None:
            state = stream.state
        elif number > self._last or not number & 1:
            state = StreamState.IDLE
        else:
            state = self.ended.get(number, StreamState.FORGOTTEN)
        accepted, code, connection = FRAME_RULES[state][received]
        if accepted:
            return stream
        if code is None:
            return None
        if connection:
            raise ConnectionFault(code, f"{received.name} on a stream that is {state.name}")
        raise StreamFault(code, f"{received.name} on a stream that is {state.name}")

    def _open(self, number: int, ends: bool, decoded: Decoded) -> None:
        """A request has begun."""
        limit = self.settings.limit_streams
        if self._state >= _LEAVING:
            self._remember(number, StreamState.RESET)  # the client will repeat it elsewhere
            return
        if len(self.streams) >= limit or self.orphans >= limit:
            raise StreamFault(REFUSED_STREAM, "too many streams")
        self._overhead.earn(abuse.EARNED_BY_REQUEST)
        if decoded[4]:
            if decoded[4] != TOO_LARGE:
                raise StreamFault(PROTOCOL_ERROR, "malformed fields")
            refusal = Refusal(431, "too many or too large header fields")
            self._new_stream(number, ends, None).refuse(refusal)
            return
        try:
            checked = check_head(decoded, ends)
        except RemoteProtocolError as error:
            self._new_stream(number, ends, None).refuse(refusal_of(error))
            return
        if self._requests_left:
            self._requests_left -= 1
            if not self._requests_left:
                self.shutdown()
        stream = self._new_stream(number, ends, checked)
        self.answer(stream, checked)

    def answer(self, stream: Http2Stream, checked: CheckedHead) -> None:
        """Answer the request that opened a stream, or have the application answer it."""
        answer(self.context, self.settings, self.peer, stream, checked)

    def _new_stream(self, number: int, ends: bool, checked: CheckedHead | None) -> Http2Stream:
        head, priority = None, IN_TURN
        if checked is not None:
            head = checked.head
            priority = self._priorities.of(number, checked.priority, checked.mixed)
        window = self._peer_settings.initial_window
        stream = Http2Stream(self, number, head, priority, window, FIRST_STATES[ends])
        self.streams[number] = stream
        if not ends:
            self._uploads.add(stream)
            self.deadline = EVERY_TICK
        return stream

    def response_begun(self, stream: Http2Stream) -> None:
        """The head of a response that goes on has been sent."""
        if self.context.observer is not None and stream.exchange is not None:
            self.context.observer.first_byte(stream.exchange)

    def stream_ended(self, stream: Http2Stream) -> None:
        """END_STREAM was sent."""
        if self.context.observer is not None and stream.exchange is not None:
            self.context.observer.done(stream.exchange)
        if stream.tunnel is not None and stream.tunnel.open and stream.state is _OPEN:
            stream.change(_LOCAL_END)
            return  # the client has yet to end its side (RFC 8441 §5)
        if stream.state is _OPEN:
            stream.change(_LOCAL_END)
            stream.exchange = None
            stream.read_until = self.context.clock.after(READ_ON)
            self._resets.earn()
            return  # the client has yet to end its side, or we reset it (RFC 9113 §8.1)
        stream.change(_LOCAL_END)
        self._resets.earn()
        self._forget(stream)

    def reset_stream(self, stream: Http2Stream, code: int) -> None:
        """End a stream before its time."""
        self.sender.append(rst_stream(stream.id, code))
        stream.change(Change.LOCAL_RESET)
        self._abandon(stream, aborted=True)

    def _reset(self, number: int, fault: StreamFault) -> None:
        """Answer a stream error; a client that causes many pays as for many resets."""
        self._resets.spend()
        stream = self.streams.get(number)
        if stream is not None:
            self.reset_stream(stream, fault.code)
            return
        self.sender.append(rst_stream(number, fault.code))
        self._remember(number, StreamState.RESET)
        observer = self.context.observer
        if observer is not None and fault.code == PROTOCOL_ERROR:
            observer.refused(self.peer, None, Refusal(400, fault.reason), None)

    def refuse(self, stream: Http2Stream, refusal: Refusal) -> None:
        """Answer for the application, or break off what it began."""
        observer = self.context.observer
        exchange = stream.exchange
        if exchange is not None:
            stream.exchange = None
            exchange.disconnect()
            exchange.cancel_in_time()
            self._count_orphan(exchange)
            if exchange.on_the_wire:
                if observer is not None:
                    failed = refusal.blame is Blame.APPLICATION
                    reason = "" if failed else f": {refusal.reason}"
                    observer.ended(exchange, exchange.status, f"broken off{reason}")
                self.reset_stream(stream, INTERNAL_ERROR)
                return
        head = stream.head
        stream.send_refusal(refusal)
        if observer is not None:
            observer.refused(self.peer, head, refusal, exchange)

    def _abandon(self, stream: Http2Stream, *, aborted: bool = False) -> None:
        """A stream is over before its exchange is; the call counts until it returns."""
        exchange = stream.exchange
        self.sender.withdraw(stream)
        self._forget(stream)
        if exchange is not None:
            end_call(self.context, exchange, aborted=aborted)
            self._count_orphan(exchange)

    def _count_orphan(self, exchange: Exchange) -> None:
        task = exchange.task
        if task is not None and not task.done():
            self.orphans += 1
            task.add_done_callback(self._orphan_returned)

    def _orphan_returned(self, task: asyncio.Task[Any]) -> None:
        self.orphans -= 1

    def _forget(self, stream: Http2Stream) -> None:
        """A stream is over."""
        del self.streams[stream.id]
        self._uploads.discard(stream)
        if stream.tunnel is not None:
            stream.tunnel.lost()
        self._remember(stream.id, stream.state)
        stream.release()
        if not self.streams:
            self._idle_due = self.context.clock.idle_deadline
            self.deadline = min(self.deadline, self._idle_due)
            if self._state is _LEAVING or self._peer_leaves:
                self._close(NO_ERROR)

    def _remember(self, number: int, state: StreamState) -> None:
        self.ended[number] = state
        if len(self.ended) > REMEMBERED_STREAMS:
            del self.ended[next(iter(self.ended))]

    def content_waits(self) -> None:
        """A stream has content that cannot go out at once: see whether the client takes it."""
        self.context.clock.stalled.add(self)

    def tiny_frames_taken(self, count: int) -> None:
        """The application took the content of tiny frames."""
        self._overhead.earn(count)

    # -- how it ends -----------------------------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for a request; ``None``: it does not (see ``Watched``)."""
        if self.streams or self._state > ConnectionState.SERVING:
            return None
        settings = self.settings
        opening = self._state < ConnectionState.SERVING
        return self._idle_due - (
            settings.timeout_header if opening else settings.timeout_keep_alive
        )

    @property
    def answered_since(self) -> float | None:
        """Since when it only waits for its client to close; ``None``: it does not."""
        return self._end_due - LINGER if self._state is _FAILED else None

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self.streams)

    @property
    def open_tunnels(self) -> int:
        """How many of them are open WebSockets."""
        streams = self.streams.values()
        return sum(stream.tunnel is not None and stream.tunnel.open for stream in streams)

    def shutdown(self) -> None:
        """Come to an end: the worker drains (RFC 9113 §6.8).

        The first GOAWAY lets requests in that are on their way; the second, once the client has
        seen the first, names the last one that is served.
        """
        for stream in list(self.streams.values()):
            if stream.tunnel is not None:
                stream.tunnel.shutdown()
        clock = self.context.clock
        if self._state is ConnectionState.SERVING:
            self.sender.append(goaway(LARGEST_ID, NO_ERROR) + frame(PING, 0, 0, _DRAIN_PING))
        elif self._state >= ConnectionState.ANNOUNCED:
            return
        self._move(ConnectionEvent.DRAIN)
        self._end_due = clock.after(ANNOUNCED_FOR)
        self.deadline = min(self.deadline, self._end_due)

    def wind_down(self, grace: float) -> None:
        """As ``shutdown``: the first GOAWAY is the grace of an idle connection."""
        self.shutdown()

    def _leave(self) -> None:
        """Serve no further requests."""
        self._move(ConnectionEvent.ANNOUNCED)
        self._end_due = NEVER
        if self.streams:
            self.sender.append(goaway(self._last, NO_ERROR))
        else:
            self._close(NO_ERROR)

    def _fail(self, fault: ConnectionFault) -> None:
        """Answer a connection error, and end (RFC 9113 §5.4.1)."""
        self._end(fault.code, fault.reason)
        for stream in list(self.streams.values()):
            stream.change(Change.LOCAL_RESET)
            self._abandon(stream)

    def _end(self, code: int, reason: str) -> None:
        """Send the last GOAWAY; then read on for a moment, or a reset would overtake it."""
        if self._state >= _FAILED:
            return
        self.sender.append(goaway(self._last, code, reason))
        self.sender.flush_all()
        self._move(ConnectionEvent.FAULT)
        self.tail = b""
        self.deadline = self._end_due = self.context.clock.after(LINGER)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self, code: int) -> None:
        """Say goodbye, and end: nothing is under way."""
        if self._state >= _FAILED:
            return
        self._end(code, "")
        self._transport.close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def deadline_passed(self) -> None:
        """Find out which of the deadlines it was; others may have been put off meanwhile."""
        now = self.context.clock.now
        if self._end_due <= now:
            if self._state is ConnectionState.ANNOUNCED:
                self._leave()
            elif self._state is _FAILED:
                self._transport.abort()
            else:
                self._close(NO_ERROR)
        elif self._settings_due <= now:
            self._fail(ConnectionFault(SETTINGS_TIMEOUT, "settings not acknowledged"))
        elif self._block_due <= now:
            self._fail(ConnectionFault(PROTOCOL_ERROR, "header block not completed in time"))
        elif not self.streams and self._idle_due <= now:
            self._close(NO_ERROR)
        for stream in list(self._uploads):
            self._check_content(stream, now)
        idle = NEVER if self.streams else self._idle_due
        due = min(self._settings_due, self._block_due, self._end_due, idle)
        self.deadline = EVERY_TICK if self._uploads else due

    def _check_content(self, stream: Http2Stream, now: float) -> None:
        """Refuse content that comes too slowly; what the application delays is not the peer's.

        Content that is not needed any more has its time, and then is reset.
        """
        if stream.tunnel is not None:
            stream.tunnel.check_deadline(now)
            return
        if stream.read_until <= now:
            self.reset_stream(stream, NO_ERROR)
            return
        exchange = stream.exchange
        if exchange is None or exchange.buffered or exchange.continue_due:
            return
        if stream.pace is None:
            stream.pace = BodyPace(exchange.received)
            return
        stream.pace.add(exchange.received, self.context.clock.elapsed)
        if stream.pace.too_slow(self.settings.timeout_body, self.settings.limit_body_rate):
            self.refuse(stream, Refusal(408, "request body timeout"))
            stream.read_until = min(stream.read_until, now)

    def check_writing(self) -> None:
        """End what has waited too long for the client; called at every tick while it waits."""
        clock, sender = self.context.clock, self.sender
        waiting = [stream for stream in self.streams.values() if stream.queued]
        if not waiting and not sender.write_paused:
            clock.stalled.discard(self)
            self._stalls = None
            return
        timeout = self.settings.timeout_write or NEVER
        if self._stalls is None:
            self._stalls = Stalls(self._transport, sender.sent, clock.now)
        if sender.write_paused and self._stalls.transport_stalled_for(clock.elapsed) > timeout:
            self._transport.abort()
            return
        for stream in self._stalls.overdue(waiting, sender.sent, clock.now, timeout):
            self.reset_stream(stream, CANCEL)


_HANDLERS: Final[tuple[Callable[[Http2Connection, int, int, bytes], None], ...]] = (
    Http2Connection._on_data,
    Http2Connection._on_headers,
    Http2Connection._on_priority,
    Http2Connection._on_rst_stream,
    Http2Connection._on_settings,
    Http2Connection._on_push_promise,
    Http2Connection._on_ping,
    Http2Connection._on_goaway,
    Http2Connection._on_window_update,
    Http2Connection._on_continuation,
)
"""By frame type."""
