"""Good clients over HTTP/1.1 and WebSocket: they compare each answer with what it must be."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from benchmarks.apps.enduring import cached_content, pieces
from benchmarks.apps.plain import GREETING, LARGE
from benchmarks.endurance.outcomes import Again, Outcomes, Wrong

__all__ = ["FILE", "STATIC", "Answer", "Client", "Http1Client", "Site", "SocketClient", "check"]

PATIENCE: Final = 90.0
"""Seconds a client waits for an answer: workers are stopped for a while, machines are busy."""

STATIC: Final = b"health"
FILE: Final = random.Random(18).randbytes(50_000)
"""Bodies of ``/health``, a static route, and of ``/files/file.bin``."""

RESTARTS: Final = 1012
CERTIFICATE_TAKES: Final = 30.0
"""Seconds until workers must use a certificate that was replaced."""


@dataclass
class Site:
    """Where the clients of one service connect to, and what they find there."""

    name: str
    host: str
    port: int
    tls: dict[str, ssl.SSLContext] = field(default_factory=dict)  # by ALPN; empty: without TLS
    certificates: list[tuple[float, bytes]] = field(default_factory=list)  # the newest last
    outcomes: Outcomes = field(default_factory=Outcomes)
    stopping: bool = False

    async def connect(self, alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises ``OSError`` and, for an outdated certificate, ``Wrong``."""
        connected = asyncio.open_connection(
            self.host,
            self.port,
            ssl=self.tls.get(alpn),
            server_hostname="localhost" if self.tls else None,
            limit=2**18,
        )
        reader, writer = await asyncio.wait_for(connected, PATIENCE)
        if self.tls:
            self._check_certificate(writer.get_extra_info("ssl_object"))
        return reader, writer

    def _check_certificate(self, tls: ssl.SSLObject) -> None:
        shown = tls.getpeercert(binary_form=True)
        known = [certificate for _, certificate in self.certificates]
        if shown not in known:
            raise Wrong("an unknown certificate")
        later = self.certificates[known.index(shown) + 1 :]
        if later and time.monotonic() - later[0][0] > CERTIFICATE_TAKES:
            raise Wrong("a certificate that was replaced long ago")


class Answer(NamedTuple):
    """A response; names of fields are in lower case."""

    status: int
    fields: dict[bytes, bytes]
    content: bytes


def check(answer: Answer, content: bytes, status: int = 200) -> None:
    """Raises ``Wrong`` where an answer differs from what it must be."""
    if answer.status != status:
        raise Wrong(f"status {answer.status}: {answer.content[:60]!r}")
    if answer.content != content:
        raise Wrong(f"{len(answer.content)} bytes {answer.content[:60]!r}, not {len(content)}")


class Client:
    """What all have in common: connect, make some exchanges, leave, and again."""

    protocol = ""
    alpn = "http/1.1"

    def __init__(self, site: Site, number: int, pause: float) -> None:
        self.site = site
        self.chance = random.Random(number)
        self.pause = pause
        self.worker: int | None = None  # that has the connection, once it is known
        self.doing = "connection"
        self.begun = self.idle_since = time.monotonic()

    async def work(self) -> None:
        """Until the site says stop."""
        while not self.site.stopping:
            self.worker, self.doing = None, "connection"
            self.begun = self.idle_since = time.monotonic()
            try:
                await self.connected()
            except (OSError, EOFError, Wrong, Again) as error:
                idle = self.begun - self.idle_since
                times = f" (idle {idle:.1f} s, then {time.monotonic() - self.begun:.1f} s)"
                kind = f"{self.protocol} {self.doing}"
                self.site.outcomes.failed(kind, error, self.worker, times)
                await asyncio.sleep(0.05)

    async def connected(self) -> None:
        """One connection from its begin to its end. Raises what has gone wrong."""
        raise NotImplementedError

    async def rest(self) -> None:
        """Between two requests."""
        await asyncio.sleep(min(2.0, self.chance.expovariate(1 / self.pause)))

    def served_by(self, fields: dict[bytes, bytes]) -> None:
        """Note the worker that has answered."""
        if b"x-worker" in fields:
            self.worker = int(fields[b"x-worker"])
            self.site.outcomes.workers.add(self.worker)


class Http1Client(Client):
    """HTTP/1.1 over one connection after the other.

    ``most`` exchanges on each; with one, another follows that says that it is the last.
    """

    protocol = "HTTP/1.1"

    def __init__(self, site: Site, number: int, pause: float, most: int = 100) -> None:
        super().__init__(site, number, pause)
        self.most = most
        self.open = True
        self.tag: bytes | None = None
        self.kinds = [
            *[self.greeting] * 3,
            *[self.cached] * 3,
            *[self.static] * 2,
            *[self.file, self.part, self.echo, self.chunked, self.pipelined, self.stream],
        ]

    async def connected(self) -> None:
        self.reader, self.writer = await self.site.connect(self.alpn)
        self.open = True
        try:
            for number in range(self.chance.randint(1, self.most)):
                if number:  # a worker that drains waits two seconds for the first request
                    await self.rest()
                if self.site.stopping or not self.open:
                    break
                exchange = self.large if self.chance.random() < 0.02 else None
                await self.one(exchange or self.chance.choice(self.kinds))
            if self.open and not self.site.stopping and self.most == 1:
                await self.one(self.half_closed)
        finally:
            self.writer.close()
        with suppress(OSError):
            await asyncio.wait_for(self.writer.wait_closed(), PATIENCE)

    async def one(self, exchange: object) -> None:
        """One exchange, or the eight of a pipeline."""
        self.doing = getattr(exchange, "__name__", "").replace("_", "-")
        self.begun = time.monotonic()
        count = await asyncio.wait_for(exchange(), PATIENCE)  # type: ignore[operator]
        self.idle_since = time.monotonic()
        kind = f"{self.protocol} {self.doing}"
        self.site.outcomes.answered(kind, self.idle_since - self.begun, count or 1)

    async def ask(self, line: bytes, fields: bytes = b"", content: bytes = b"") -> Answer:
        """One request and its answer."""
        self.writer.write(line + b" HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n" + content)
        await self.writer.drain()
        return await self.answer()

    async def answer(self) -> Answer:
        """Read one answer. Raises ``EOFError``."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        if not first.startswith(b"HTTP/1.1 "):
            raise Wrong(f"begins with {first[:60]!r}")
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        self.served_by(fields)
        self.open = fields.get(b"connection") != b"close"
        status = int(first[9:12])
        if status == 304:
            return Answer(status, fields, b"")
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            return Answer(status, fields, await self._chunks())
        length = int(fields[b"content-length"])
        return Answer(status, fields, await self.reader.readexactly(length))

    async def _chunks(self) -> bytes:
        content = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            content += await self.reader.readexactly(size)
            if await self.reader.readexactly(2) != b"\r\n":
                raise Wrong("a chunk without its end")
        if await self.reader.readexactly(2) != b"\r\n":
            raise Wrong("content without its end")
        return content

    # -- what it asks for

    async def greeting(self) -> None:
        check(await self.ask(b"GET /%d" % self.chance.randrange(10**6)), GREETING)

    async def static(self) -> None:
        check(await self.ask(b"GET /health"), STATIC)

    async def cached(self) -> None:
        query = b"n=%d" % self.chance.randrange(50)
        check(await self.ask(b"GET /cached?" + query), cached_content(query))

    async def file(self) -> None:
        """A file, and once its tag is known, whether it has changed."""
        if self.tag is None:
            answer = await self.ask(b"GET /files/file.bin")
            check(answer, FILE)
            self.tag = answer.fields[b"etag"]
        else:
            fields = b"If-None-Match: " + self.tag + b"\r\n"
            check(await self.ask(b"GET /files/file.bin", fields), b"", 304)

    async def part(self) -> None:
        first = self.chance.randrange(len(FILE))
        last = self.chance.randrange(first, len(FILE))
        fields = b"Range: bytes=%d-%d\r\n" % (first, last)
        check(await self.ask(b"GET /files/file.bin", fields), FILE[first : last + 1], 206)

    async def large(self) -> None:
        check(await self.ask(b"GET /large"), LARGE)

    async def echo(self) -> None:
        content = self.chance.randbytes(self.chance.randrange(1, 100_000))
        fields = b"Content-Length: %d\r\n" % len(content)
        check(await self.ask(b"POST /echo", fields, content), content)

    async def chunked(self) -> None:
        parts = [self.chance.randbytes(self.chance.randrange(1, 3000)) for _ in range(8)]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        fields = b"Transfer-Encoding: chunked\r\n"
        check(await self.ask(b"POST /echo", fields, coded + b"0\r\n\r\n"), b"".join(parts))

    async def stream(self) -> None:
        query = b"n=%d" % self.chance.randrange(10**6)
        check(await self.ask(b"GET /stream?" + query), b"".join(pieces(query)))

    async def pipelined(self) -> int:
        """Eight requests at once; those behind an answer that is the last are to be sent again."""
        pair = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        self.writer.write(pair * 4)
        await self.writer.drain()
        for number in range(8):
            check(await self.answer(), STATIC if number % 2 else GREETING)
            if not self.open:
                self.site.outcomes.again[f"{self.protocol} pipelined"] += 7 - number
                return number + 1
        return 8

    async def half_closed(self) -> None:
        """The last request; over plain TCP the client's side ends behind it."""
        self.open = False
        self.writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        if not self.site.tls:
            self.writer.write_eof()
        check(await self.answer(), GREETING)
        if await self.reader.read():
            raise Wrong("bytes behind the last answer")


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

CLOSE: Final = 8


class SocketClient(Client):
    """Messages over a WebSocket and back; 1012 is the end that a restart announces."""

    protocol = "WebSocket"

    async def connected(self) -> None:
        self.reader, self.writer = await self.site.connect(self.alpn)
        try:
            await asyncio.wait_for(self._shake_hands(), PATIENCE)
            self.doing = "message"
            for _ in range(self.chance.randint(1, 200)):
                begin = time.monotonic()
                await asyncio.wait_for(self._echo(), PATIENCE)
                self.site.outcomes.answered("WebSocket message", time.monotonic() - begin)
                await self.rest()
                if self.site.stopping:
                    break
            self._send(CLOSE, struct.pack("!H", 1000))
            first, content = await asyncio.wait_for(self._frame(), PATIENCE)
            if first != 0x80 | CLOSE or content[:2] not in (b"\x03\xe8", b"\x03\xf4"):
                raise Wrong(f"{first:x} {content[:40]!r} instead of a close frame")
        finally:
            self.writer.close()

    async def _shake_hands(self) -> None:
        self.writer.write(HANDSHAKE)
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        if not first.startswith(b"HTTP/1.1 101 "):
            raise Wrong(f"no WebSocket: {first[:60]!r}")
        pairs = [line.partition(b":") for line in lines]
        self.served_by({name.lower(): value.strip() for name, _, value in pairs})

    async def _echo(self) -> None:
        content = self.chance.randbytes(self.chance.randrange(1, 2000)).hex().encode()
        kind = self.chance.choice((1, 2))
        self._send(kind, content)
        first, answer = await self._frame()
        if first == 0x80 | CLOSE and int.from_bytes(answer[:2]) == RESTARTS:
            self._send(CLOSE, answer[:2])
            raise Again("the server restarts")
        if (first, answer) != (0x80 | kind, content):
            raise Wrong(f"{first:x} {answer[:40]!r}, not {content[:40]!r}")

    def _send(self, kind: int, content: bytes) -> None:
        mask = self.chance.randbytes(4)
        size = len(content)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
        whole = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(content) ^ int.from_bytes(whole)
        self.writer.write(bytes((0x80 | kind,)) + length + mask + masked.to_bytes(size))

    async def _frame(self) -> tuple[int, bytes]:
        """One frame; pings, which the server may send, are answered on the way."""
        while True:
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
            content = await self.reader.readexactly(size)
            if first != 0x89:
                return first, content
            self._send(10, content)
