"""An HTTP/2 connection served in memory, and the client's side of it.

The connection is the real one; the loop and the application are stand-ins that do nothing by
themselves, so a test decides what happens in which order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpack import Decoder

from katana_asgi.codec import ResponseFields, encode_fields
from katana_asgi.codec.hpack import NAME_CODES
from katana_asgi.config.model import Config
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http2 import faults, frames
from katana_asgi.http2.connection import Http2Connection
from katana_asgi.http2.frames import FRAME_HEADER, PREFACE, frame
from katana_asgi.http2.settings import Http2Settings
from katana_asgi.net import peer as net
from katana_asgi.net.admission import Admission
from katana_asgi.net.clock import Clock
from katana_asgi.net.outbox import Outbox
from katana_asgi.testing import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.http2.heads import CheckedHead
    from katana_asgi.http2.stream import Http2Stream

__all__ = ["CODES", "GET", "POST", "Call", "Frame", "Peer", "at", "block", "frames_in", "headers"]

CODES = {
    value: name for name, value in vars(faults).items() if name.isupper() and isinstance(value, int)
}

_NAMES = (
    "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE "
    "CONTINUATION PRIORITY_UPDATE"
)
KINDS = {getattr(frames, name): name for name in _NAMES.split(" ")}

Fields = list[tuple[str, str]]

GET: Fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
POST: Fields = [(":method", "POST"), *GET[1:]]


def at(path: str, fields: Fields = GET) -> Fields:
    """The fields with another path."""
    return [*fields[:3], (":path", path), *fields[4:]]


def block(fields: Iterable[tuple[str, str]]) -> bytes:
    """A header block that neither uses nor changes the dynamic table."""
    return encode_fields(
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields], NAME_CODES
    )


def headers(
    stream: int, fields: Iterable[tuple[str, str]] = GET, *, end: bool = True, more: bool = False
) -> bytes:
    """A HEADERS frame; ``more``: CONTINUATION follows."""
    flags = (frames.END_STREAM if end else 0) | (0 if more else frames.END_HEADERS)
    return frame(frames.HEADERS, flags, stream, block(fields))


@dataclass
class Frame:
    """A frame of the server."""

    kind: str
    flags: int
    stream: int
    payload: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def ends(self) -> bool:
        """Whether it ends its stream."""
        return self.kind in ("DATA", "HEADERS") and bool(self.flags & frames.END_STREAM)

    @property
    def status(self) -> int:
        """Of a head."""
        return int(dict(self.fields)[b":status"])

    @property
    def short(self) -> str:
        """``1=200``, ``1!PROTOCOL_ERROR``, ``*PROTOCOL_ERROR``, or its kind."""
        if self.kind == "HEADERS":
            return f"{self.stream}={self.status}"
        if self.kind == "RST_STREAM":
            return f"{self.stream}!{CODES[int.from_bytes(self.payload)]}"
        if self.kind == "GOAWAY":
            return f"*{CODES[int.from_bytes(self.payload[4:8])]}"
        return self.kind


def frames_in(data: bytes, decoder: Decoder) -> list[Frame]:
    """All frames; what does not end with a whole one fails."""
    found = []
    begin = 0
    while begin < len(data):
        high, low, kind, flags, stream = FRAME_HEADER.unpack_from(data, begin)
        payload = data[begin + 9 : begin + 9 + (high << 8 | low)]
        assert len(payload) == high << 8 | low, "half a frame"
        begin += 9 + len(payload)
        found.append(Frame(KINDS[kind], flags, stream, payload))
        if kind == frames.HEADERS:
            assert flags & frames.END_HEADERS, "not expected of small heads"
            found[-1].fields = [tuple(each) for each in decoder.decode(payload, raw=True)]
    return found


class Loop:
    """As much of an event loop as a connection uses; ``turn`` runs what was put off."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._soon: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., Any], *args: Any) -> None:
        self._soon.append((call, args))

    def turn(self) -> None:
        while self._soon:
            soon, self._soon = self._soon, []
            for call, args in soon:
                call(*args)


class Task:
    """A call of an application that returns when the test says so."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._done = False

    def done(self) -> bool:
        return self._done

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def finish(self) -> None:
        self._done = True
        for callback in self._callbacks:
            callback(self)


class Call:
    """An exchange whose application does what its path says.

    ``/`` reads, and answers when the request is complete; ``/early`` answers at once; any other
    path does nothing by itself.
    """

    def __init__(self, stream: Http2Stream, checked: CheckedHead) -> None:
        self.stream = stream
        self.checked = checked
        self.head = checked.head
        self.content = b""
        self.complete = checked.head.content_length == 0
        self.buffered = 0
        self.received = 0
        self.continue_due = False
        self.on_the_wire = False
        self.disconnected = False
        self.task = Task()

    def begin(self) -> None:
        if self.head.path == "/early" or (self.head.path == "/" and self.complete):
            self.answer()

    def content_received(self, data: bytes) -> None:
        assert not self.complete
        self.content += data
        self.received += len(data)
        if self.head.path == "/":
            self.stream.content_taken(len(data))

    def request_complete(self) -> None:
        if not self.complete:
            self.complete = True
            if self.head.path == "/":
                self.answer()

    def disconnect(self) -> None:
        assert not self.disconnected
        self.disconnected = True

    def cancel_in_time(self) -> None:
        """Its task is the test's."""

    def answer(self, content: bytes = b"ok", *, more: bool = False, status: int = 200) -> None:
        self.on_the_wire = True
        if not more:
            self.task.finish()
        length = None if more else len(content)
        self.stream.send_response(status, ResponseFields(), length, content, more)


class Context:
    """What a connection uses of a worker context."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.clock = Clock(loop)
        self.outbox = Outbox(loop)
        self.admission = Admission(self.clock, 10, 0, lambda _: False)
        self.observer = None
        self.draining = False
        self.closed: list[Any] = []

    def connection_closed(self, connection: Any) -> None:
        self.clock.watched.discard(connection)
        self.closed.append(connection)


class Connection(Http2Connection):
    """The connection, with calls that do nothing by themselves."""

    calls: list[Call]

    def answer(self, stream: Http2Stream, checked: CheckedHead) -> None:
        call = Call(stream, checked)
        self.calls.append(call)
        exchange: Any = call
        stream.exchange = exchange
        call.begin()


class Peer:
    """A client and the connection that serves it."""

    def __init__(
        self, *, handshake: bool = True, ack: bool = True, client: bytes = b"", **settings: Any
    ) -> None:
        self.loop = Loop()
        self.context = Context(self.loop)
        stand_in: Any = self.context
        config = Config(app="a:b", **settings)
        defaults = DefaultFields(date=False, server=None)
        self.connection = Connection(
            stand_in,
            Http2Settings(config, defaults, connect=lambda *_: None),
            net.Peer(("127.0.0.1", 80), "http"),
        )
        self.calls = self.connection.calls = []
        loop: Any = self.loop
        self.transport = MemoryTransport(loop=loop)
        self.decoder = Decoder()
        self.seen = 0  # bytes that ``received`` has returned
        self.transport.attach(self.connection)
        self.loop.turn()
        self.opening = self.received()
        if handshake:
            self.send(PREFACE + frame(frames.SETTINGS, 0, 0, client))
            if ack:
                self.send(frame(frames.SETTINGS, frames.ACK, 0, b""))
            assert [each.kind for each in self.received()] == ["SETTINGS"]

    def send(self, *pieces: bytes) -> None:
        """Have the connection read the pieces, a turn of the loop for each."""
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)
            self.loop.turn()

    def received(self) -> list[Frame]:
        """The frames that came since the last call."""
        assert not self.transport.dropped, "written behind the end"
        data = bytes(self.transport.sent[self.seen :])
        self.seen += len(data)
        return frames_in(data, self.decoder)

    def outcome(self) -> list[str]:
        """What came, in short, without content and windows."""
        kinds = ("DATA", "WINDOW_UPDATE")
        return [each.short for each in self.received() if each.kind not in kinds]

    def content(self, stream: int) -> bytes:
        """The content of a response in what came since the last call; there may be no other."""
        found = [each for each in self.received() if each.kind == "DATA"]
        assert {each.stream for each in found} <= {stream}
        return b"".join([each.payload for each in found])

    def tick(self, seconds: int) -> None:
        """Let time pass, a tick of the clock a second."""
        clock = self.context.clock
        for _ in range(seconds):
            self.loop.now += 1
            clock.now = self.loop.now
            clock.elapsed = 1.0
            clock.idle_deadline = clock.after(75.0)
            for watched in list(clock.watched):
                if watched.deadline <= clock.now:
                    watched.deadline_passed()
            for stalled in list(clock.stalled):
                stalled.check_writing()
            self.loop.turn()
