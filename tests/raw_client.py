"""A client that reads only when it is told to: nothing of it buffers behind the test's back."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Self

from tests.support import within

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RawClient"]


class RawClient:
    """A plain socket; with ``receive_buffer`` bytes the kernel takes little for it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    async def open(cls, host: str, port: int, receive_buffer: int = 4096) -> Self:
        """Connect."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await within(asyncio.get_running_loop().sock_connect(sock, (host, port)))
        return cls(sock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sock.close()

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await within(asyncio.get_running_loop().sock_sendall(self.sock, data))

    async def read(self, size: int = 65536) -> bytes:
        """What has come, at most ``size`` bytes; empty once the server has closed."""
        return await within(asyncio.get_running_loop().sock_recv(self.sock, size))

    async def read_to_end(self) -> int:
        """Read until the server closes; how many bytes came. Raises where it resets."""
        received = 0
        while data := await self.read(2**20):
            received += len(data)
        return received

    async def was_reset(self) -> bool:
        """Whether what comes ends with a reset rather than in order."""
        try:
            await self.read_to_end()
        except ConnectionResetError:
            return True
        return False

    def reset(self) -> None:
        """Vanish with a reset, as a crashed client does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
