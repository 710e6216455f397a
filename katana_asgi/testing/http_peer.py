"""A client of HTTP/1.1 that sends what it is given and checks the framing of what it reads."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["HttpPeer", "Response"]

MOST: Final = 2**26
"""Bytes that a peer buffers: more than any test sends in one piece."""

T = TypeVar("T")

_match_name: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_match_status_line: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ([^\r\n]*)").fullmatch


class Response(NamedTuple):
    """One response off the wire: ``headers`` with names in lower case, ``head`` as it came."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    head: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; ``AssertionError`` where it comes more than once."""
        values = self.headers_named(name)
        check(len(values) <= 1, f"{name!r} comes more than once", self.head)
        return values[0] if values else None

    def headers_named(self, name: bytes) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]


class HttpPeer:
    """A client's side of one connection.

    What comes is checked: ``AssertionError`` for a head or a body that is not well framed,
    ``TimeoutError`` for what does not come in time, ``asyncio.IncompleteReadError`` for what breaks
    off.
    """

    timeout: float = 10.0
    """Seconds to wait for what has to come; may be set for one peer or, on the class, for all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect over TCP."""
        return cls(*await asyncio.open_connection(host, port, limit=MOST))

    @classmethod
    async def open_unix(cls, path: str) -> Self:
        """Connect over a Unix socket."""
        return cls(*await asyncio.open_unix_connection(path, limit=MOST))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.within(self.writer.wait_closed())

    async def within(self, awaitable: Awaitable[T]) -> T:
        """Await what has to come; ``TimeoutError`` after ``timeout`` seconds."""
        return await asyncio.wait_for(awaitable, self.timeout)

    async def send(self, *chunks: bytes) -> None:
        """Send each chunk in a write of its own."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            await asyncio.sleep(0)

    def half_close(self) -> None:
        """End the client's side only."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Vanish with a reset, as a client that crashes."""
        # Without lingering, closing sends RST rather than FIN.
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def head(self) -> Response:
        """Read one head: of an informational response, or where the body is read otherwise."""
        data = await self.within(self.reader.readuntil(b"\r\n\r\n"))
        first, *lines = data[:-4].split(b"\r\n")
        match = _match_status_line(first)
        check(match is not None, "no status line", first)
        headers = []
        for line in lines:
            name, colon, value = line.partition(b":")
            check(colon and _match_name(name), "no header", line)
            headers.append((name.lower(), value.strip()))
        status, reason = match.groups() if match else (b"", b"")
        return Response(int(status), reason, headers, b"", data)

    async def response(self, method: str = "GET") -> Response:
        """Read one whole response, by its own framing; ``method`` is that of its request."""
        head = await self.head()
        lengths = head.headers_named(b"content-length")
        codings = head.headers_named(b"transfer-encoding")
        check(len(lengths) + len(codings) <= 1, "its length is given twice", head.head)
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            check(not codings, "chunks of nothing", head.head)
            return head
        if codings:
            check(codings == [b"chunked"], "an unknown coding", head.head)
            body = await self._chunked()
        elif lengths:
            body = await self.within(self.reader.readexactly(int(lengths[0])))
        else:
            body = await self.rest()
        return head._replace(body=body)

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            line = await self.within(self.reader.readuntil(b"\r\n"))
            size = int(line[:-2], 16)
            chunk = await self.within(self.reader.readexactly(size + 2))
            check(chunk[-2:] == b"\r\n", "a chunk of another size", line)
            if not size:
                return body
            body += chunk[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.within(self.reader.read(-1))

    async def closed(self) -> bool:
        """Whether the server closes without another byte; it has to do one or the other."""
        try:
            return await self.within(self.reader.read(1)) == b""
        except ConnectionResetError:
            return True


def check(holds: object, otherwise: str, data: bytes) -> None:
    """Raise ``AssertionError`` unless what was read is right."""
    if not holds:
        raise AssertionError(f"{otherwise}: {data!r}")
