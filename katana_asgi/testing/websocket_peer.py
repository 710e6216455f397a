"""A WebSocket client that writes its frames by hand and checks those that it reads.

Nothing of the server is used to make or to read them, so a fault of its codec shows.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from katana_asgi.testing.http_peer import HttpPeer, Response, check

__all__ = ["Frame", "WebSocketPeer", "masked", "opening"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN: Final = 0x80

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The key of RFC 6455 §1.3 and the answer to it."""

MASK: Final = bytes.fromhex("37fa213d")


def opening(
    target: str = "/",
    *lines: str,
    key: str | None = KEY,
    version: str = "13",
    host: str = "example",
) -> bytes:
    """An opening handshake; ``lines`` are further headers, and what is empty is left out."""
    head = [f"GET {target} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Version: {version}"] if version else []
    head += [f"Sec-WebSocket-Key: {key}"] if key is not None else []
    return "\r\n".join([*head, *lines, "", ""]).encode("utf-8")


def exclusive_or(content: bytes, key: bytes = MASK) -> bytes:
    """Masking as RFC 6455 §5.3 words it: each byte with that of the key at its place modulo 4."""
    size = len(content)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(content, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def length_field(size: int, mask_bit: int) -> bytes:
    """The length of a frame as RFC 6455 §5.2 writes it, with the bit of the mask."""
    if size < 126:
        return bytes([mask_bit | size])
    if size < 65536:
        return bytes([mask_bit | 126]) + size.to_bytes(2, "big")
    return bytes([mask_bit | 127]) + size.to_bytes(8, "big")


def masked(
    opcode: int, content: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = MASK
) -> bytes:
    """A frame as a client sends it: any ``opcode`` (1 is text), ``rsv`` with bits of extensions."""
    first = fin << 7 | rsv << 4 | opcode
    return bytes([first]) + length_field(len(content), 0x80) + key + exclusive_or(content, key)


class Frame(NamedTuple):
    """One frame off the wire: its first byte, which is FIN, RSV and opcode, and its content."""

    first: int
    content: bytes


class WebSocketPeer:
    """The client's side of one WebSocket. What it reads is checked as ``HttpPeer`` does it."""

    def __init__(self, connection: HttpPeer, response: Response) -> None:
        self.connection = connection
        self.response = response
        """The response that has accepted the handshake."""

    @classmethod
    async def over(cls, connection: HttpPeer, *request: bytes) -> Self:
        """Shake hands over a connection, by default with ``opening()``.

        ``AssertionError`` unless the server agrees.
        """
        await connection.send(*(request or (opening(),)))
        response = await connection.head()
        check(response.status == 101, "not accepted", response.head)
        expected = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        for name, value in [*expected, (b"sec-websocket-accept", ACCEPT)]:
            check(response.header(name) == value, f"another {name!r}", response.head)
        return cls(connection, response)

    async def send(self, *chunks: bytes) -> None:
        """Send each chunk in a write of its own: frames, or parts of them."""
        await self.connection.send(*chunks)

    async def send_text(self, text: str) -> None:
        """Send a text message in one frame."""
        await self.send(masked(TEXT, text.encode()))

    async def send_binary(self, content: bytes) -> None:
        """Send a binary message in one frame."""
        await self.send(masked(BINARY, content))

    async def frame(self) -> Frame:
        """Read one frame; ``AssertionError`` where it is masked."""
        first, size = await self._read(2)
        check(size < 0x80, "a server does not mask", bytes((first, size)))
        if size >= 126:
            size = int.from_bytes(await self._read(2 if size == 126 else 8), "big")
        return Frame(first, await self._read(size))

    async def _read(self, size: int) -> bytes:
        return await self.connection.within(self.connection.reader.readexactly(size))

    async def text(self) -> str:
        """Read a text message in one plain frame."""
        return (await self._whole(TEXT)).decode()

    async def binary(self) -> bytes:
        """Read a binary message in one plain frame."""
        return await self._whole(BINARY)

    async def ping(self) -> bytes:
        """Read a ping; returns its content."""
        return await self._whole(PING)

    async def pong(self) -> bytes:
        """Read a pong; returns its content."""
        return await self._whole(PONG)

    async def closing(self) -> tuple[int | None, str]:
        """Read a close frame; returns its code and reason, ``None`` and nothing without them."""
        content = await self._whole(CLOSE)
        code = int.from_bytes(content[:2], "big") if content else None
        return code, content[2:].decode()

    async def _whole(self, opcode: int) -> bytes:
        first, content = await self.frame()
        check(first == FIN | opcode, f"no frame of kind {opcode}", bytes((first,)) + content)
        return content

    async def ended(self) -> bool:
        """Whether the server ends the connection without another byte."""
        return await self.connection.closed()

    async def leave(self) -> None:
        """Close in order, and see that the server does the same."""
        await self.send(masked(CLOSE, (1000).to_bytes(2, "big")))
        code, reason = await self.closing()
        check((code, reason) == (1000, ""), f"closed with {code}", reason.encode())
        check(await self.ended(), "more behind the end", b"")
