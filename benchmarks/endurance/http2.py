"""A well-behaved client over HTTP/2: several requests at once, every answer compared."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from hpack import Decoder, Encoder

from benchmarks.apps.enduring import cached_content, pieces
from benchmarks.apps.plain import GREETING
from benchmarks.endurance.clients import FILE, PATIENCE, STATIC, Answer, Client, Site, check
from benchmarks.endurance.outcomes import Again, Wrong

__all__ = ["Http2Client"]

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM: Final = 1
END_HEADERS: Final = 4
REFUSED: Final = 7
AT_ONCE: Final = 4
WINDOW_SIZE: Final = 65_535


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """A frame (RFC 9113 §4.1)."""
    return len(content).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + content


class Connection:
    """One connection: requests go out, a task reads what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._stream = 1
        self._window = WINDOW_SIZE  # bytes of content that may still be sent
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._heads: dict[int, dict[bytes, bytes]] = {}
        self._content: dict[int, bytearray] = {}
        self.leaves = False  # the server has said so
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        self.task = asyncio.ensure_future(self._read())

    def may_send(self, size: int) -> bool:
        """Whether the server takes so much content now, as all of one request."""
        return size <= min(self._window, 16_384)

    async def ask(self, path: str, *fields: tuple[str, str], content: bytes = b"") -> Answer:
        """One request and its answer.

        Raises ``Again`` where the server does not answer it, and ``OSError``.
        """
        if self.task.done():
            raise ConnectionResetError("the connection has ended")
        stream, self._stream = self._stream, self._stream + 2
        method = "POST" if content else "GET"
        head = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)]
        block = self._encoder.encode([*head, *fields])
        flags = END_HEADERS if content else END_HEADERS | END_STREAM
        data = frame(HEADERS, flags, stream, block)
        if content:
            self._window -= len(content)
            data += frame(DATA, END_STREAM, stream, content)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[stream] = answer
        self._content[stream] = bytearray()
        self._writer.write(data)
        return await answer

    async def close(self) -> None:
        """Say so, and end the connection."""
        if not self._writer.is_closing():
            self._writer.write(frame(GOAWAY, 0, 0, bytes(8)))
        self._writer.close()
        self.task.cancel()

    async def _read(self) -> None:
        error: Exception = ConnectionResetError("closed")
        try:
            while True:
                head = await self._reader.readexactly(9)
                content = await self._reader.readexactly(int.from_bytes(head[:3]))
                self._take(head[3], head[4], int.from_bytes(head[5:]), content)
        except (OSError, EOFError, Wrong) as raised:
            error = raised
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(error)

    def _take(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        if kind == HEADERS:
            if not flags & END_HEADERS or flags & 0x28:
                raise Wrong("a head in several frames, or padded")
            pairs: Any = self._decoder.decode(content, raw=True)
            self._heads[stream] = {bytes(name): bytes(value) for name, value in pairs}
        elif kind == DATA:
            self._content[stream] += content
            if content:
                size = len(content).to_bytes(4)
                self._writer.write(frame(WINDOW, 0, 0, size))
                if not flags & END_STREAM:
                    self._writer.write(frame(WINDOW, 0, stream, size))
        elif kind == RESET:
            code = int.from_bytes(content)
            self._fail(stream, Again("refused") if code == REFUSED else OSError(f"reset: {code}"))
        elif kind == SETTINGS and not flags & 1:
            self._writer.write(frame(SETTINGS, 1, 0))
        elif kind == PING and not flags & 1:
            self._writer.write(frame(PING, 1, 0, content))
        elif kind == WINDOW and stream == 0:
            self._window += int.from_bytes(content)
        elif kind == GOAWAY:
            self._leave(int.from_bytes(content[:4]), int.from_bytes(content[4:8]))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self._complete(stream)

    def _leave(self, last: int, code: int) -> None:
        self.leaves = True
        if code:
            raise Wrong(f"the server ends the connection with {code}")
        for stream in [each for each in self._waiting if each > last]:
            self._fail(stream, Again("not processed"))

    def _complete(self, stream: int) -> None:
        fields = self._heads.pop(stream)
        answer = self._waiting.pop(stream)
        content = bytes(self._content.pop(stream))
        if not answer.done():
            answer.set_result(Answer(int(fields[b":status"]), fields, content))

    def _fail(self, stream: int, error: Exception) -> None:
        answer = self._waiting.pop(stream, None)
        if answer is not None and not answer.done():
            answer.set_exception(error)


class Http2Client(Client):
    """HTTP/2 over one connection after the other, up to four requests at once on each."""

    protocol = "HTTP/2"
    alpn = "h2"

    def __init__(self, site: Site, number: int, pause: float) -> None:
        super().__init__(site, number, pause)
        self.kinds = [
            self._greeting,
            self._static,
            self._file,
            self._cached,
            self._cached,
            self._echo,
            self._stream,
        ]

    async def connected(self) -> None:
        connection = Connection(*await self.site.connect(self.alpn))
        self.connection = connection
        try:
            for number in range(self.chance.randint(1, 100)):
                if number:
                    await self.rest()
                if self.site.stopping or connection.leaves:
                    break
                if connection.task.done():
                    raise ConnectionResetError("closed while idle, without GOAWAY")
                count = self.chance.randint(1, AT_ONCE)
                exchanges = [self.chance.choice(self.kinds) for _ in range(count)]
                await asyncio.gather(*map(self._one, exchanges))
        finally:
            await connection.close()

    async def _one(self, exchange: Any) -> None:
        kind = f"{self.protocol} {exchange.__name__.removeprefix('_')}"
        begin = time.monotonic()
        try:
            await asyncio.wait_for(exchange(), PATIENCE)
        except (OSError, EOFError, Wrong, Again) as error:
            self.site.outcomes.failed(kind, error, self.worker)
        else:
            self.site.outcomes.answered(kind, time.monotonic() - begin)

    def _check(self, answer: Answer, content: bytes) -> None:
        self.served_by(answer.fields)
        check(answer, content)

    async def _greeting(self) -> None:
        path = f"/{self.chance.randrange(10**6)}"
        self._check(await self.connection.ask(path), GREETING)

    async def _static(self) -> None:
        self._check(await self.connection.ask("/health"), STATIC)

    async def _file(self) -> None:
        self._check(await self.connection.ask("/files/file.bin"), FILE)

    async def _cached(self) -> None:
        query = f"n={self.chance.randrange(50)}"
        answer = await self.connection.ask(f"/cached?{query}")
        self._check(answer, cached_content(query.encode()))

    async def _echo(self) -> None:
        content = self.chance.randbytes(self.chance.randrange(1, 10_000))
        if self.connection.may_send(len(content)):
            self._check(await self.connection.ask("/echo", content=content), content)
        else:
            await self._greeting()

    async def _stream(self) -> None:
        query = f"n={self.chance.randrange(10**6)}"
        answer = await self.connection.ask(f"/stream?{query}")
        self._check(answer, b"".join(pieces(query.encode())))
