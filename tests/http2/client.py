"""An HTTP/2 client over a real socket, strict because the ``h2`` library is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support import TIMEOUT

if TYPE_CHECKING:
    import ssl

__all__ = ["Client", "Stream"]


@dataclass
class Stream:
    """What came on one stream."""

    number: int
    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    informational: list[tuple[int, dict[bytes, bytes]]] = field(default_factory=list)
    content: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None
    reader: asyncio.StreamReader | None = None  # gets the content of a tunnel instead


class Client:
    """One connection.

    ``acknowledges``: windows are opened again for what comes. ``before`` comes first; ``cut`` is
    where the first bytes are cut in two.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        before: bytes = b"",
        acknowledges: bool = True,
        cut: int = 0,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.acknowledges = acknowledges
        configuration = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.h2 = h2.connection.H2Connection(configuration)
        self.streams: dict[int, Stream] = {}
        self.goaways: list[tuple[int, int]] = []
        self.closed = False
        self.pings = 0
        self.acknowledged = False  # our settings
        self._rest = b""  # of a frame that has not come whole
        self._news = asyncio.Condition()
        self.h2.initiate_connection()
        data = before + self.h2.data_to_send()
        writer.write(data[:cut] if cut else data)
        self._late = data[cut:] if cut else b""
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls, host: str, port: int, trust: ssl.SSLContext | None = None, **options: Any
    ) -> Self:
        tls: dict[str, Any] = {}
        if trust is not None:
            trust.set_alpn_protocols(["h2"])
            tls = {"ssl": trust, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(host, port, limit=2**24, **tls)
        return cls(reader, writer, **options)

    @classmethod
    async def open_unix(cls, path: str) -> Self:
        return cls(*await asyncio.open_unix_connection(path))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.writer.close()
        with suppress(OSError):
            await asyncio.wait_for(self.writer.wait_closed(), TIMEOUT)

    async def _read(self) -> None:
        try:
            if self._late:
                await asyncio.sleep(0.002)
                self.writer.write(self._late)
            while data := await self.reader.read(2**16):
                for event in self.h2.receive_data(self._without_goaways(data)):
                    self._heard(event)
                self.flush()
                async with self._news:
                    self._news.notify_all()
        except ConnectionError:
            pass
        finally:
            self.closed = True
            async with self._news:
                self._news.notify_all()

    def _without_goaways(self, data: bytes) -> bytes:
        """Note and take out GOAWAY: behind it ``h2`` takes no further frame, wrongly."""
        self._rest += data
        kept = b""
        while len(self._rest) >= 9:
            end = 9 + int.from_bytes(self._rest[:3])
            if len(self._rest) < end:
                break
            frame, self._rest = self._rest[:end], self._rest[end:]
            if frame[3] == 7:
                last, code = int.from_bytes(frame[9:13]), int.from_bytes(frame[13:17])
                self.goaways.append((last, code))
            else:
                kept += frame
        return kept

    def _heard(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.SettingsAcknowledged):
            self.acknowledged = True
        if isinstance(event, h2.events.PingReceived):
            self.pings += 1
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.fields = dict(event.headers or ())
            stream.status = int(stream.fields.pop(b":status"))
        elif isinstance(event, h2.events.InformationalResponseReceived):
            fields = dict(event.headers or ())
            stream.informational.append((int(fields.pop(b":status")), fields))
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = dict(event.headers or ())
        elif isinstance(event, h2.events.DataReceived):
            if stream.reader is not None:
                stream.reader.feed_data(event.data or b"")
            else:
                stream.content += event.data or b""
            if self.acknowledges:
                size = event.flow_controlled_length or 0
                self.h2.acknowledge_received_data(size, stream.number)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
            if stream.reader is not None:
                stream.reader.feed_eof()
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code or 0)
            if stream.reader is not None and not stream.ended:
                stream.reader.feed_eof()

    def flush(self) -> None:
        """Send what ``h2`` has to say."""
        data = self.h2.data_to_send()
        if data and not self.writer.is_closing():
            self.writer.write(data)

    def begin(
        self,
        path: str = "/",
        *further: tuple[str, str],
        method: str = "GET",
        end: bool = True,
        authority: str = "a.example",
        protocol: str | None = None,
    ) -> Stream:
        """Send a head."""
        number = self.h2.get_next_available_stream_id()
        extended = [(":protocol", protocol)] if protocol else []
        fields = [
            (":method", method),
            (":scheme", "http"),
            (":authority", authority),
            (":path", path),
            *extended,
            *further,
        ]
        stream = self.streams[number] = Stream(number)
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return stream

    async def upload(self, stream: Stream, content: bytes, *, end: bool = True) -> None:
        """Send content as windows allow; stops where the stream ends before."""
        while content:
            room = 0

            def writable() -> bool:
                nonlocal room
                if stream.ended or stream.reset is not None or self.closed:
                    return True
                room = self.h2.local_flow_control_window(stream.number)
                return room > 0

            await self.until(writable)
            if stream.ended or stream.reset is not None or self.closed:
                return
            size = min(room, self.h2.max_outbound_frame_size)
            piece, content = content[:size], content[size:]
            self.h2.send_data(stream.number, piece, end_stream=end and not content)
            self.flush()
            await asyncio.wait_for(self.writer.drain(), TIMEOUT)
        if end and not stream.ended and stream.reset is None and not self._has_ended(stream):
            self.h2.end_stream(stream.number)
            self.flush()

    def _has_ended(self, stream: Stream) -> bool:
        state = self.h2.streams.get(stream.number)
        return state is None or not state.open or state.closed or _half_closed(state)

    def reset(self, stream: Stream, code: int = 8) -> None:
        """Cancel a stream."""
        self.h2.reset_stream(stream.number, code)
        self.flush()

    async def until(self, condition: Any) -> None:
        """Wait until something is so."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), TIMEOUT)

    async def finish(self, stream: Stream) -> Stream:
        """Wait for the end of a stream, good or bad."""
        await self.until(lambda: stream.ended or stream.reset is not None or self.closed)
        return stream

    async def get(self, path: str = "/", *further: tuple[str, str], **options: Any) -> Stream:
        """One request without content, and its response."""
        return await self.finish(self.begin(path, *further, **options))

    async def post(self, path: str, content: bytes, *further: tuple[str, str]) -> Stream:
        """One request with content, and its response."""
        stream = self.begin(path, *further, method="POST", end=False)
        await self.upload(stream, content)
        return await self.finish(stream)


def _half_closed(state: Any) -> bool:
    return bool(state.state_machine.state.name == "HALF_CLOSED_LOCAL")
