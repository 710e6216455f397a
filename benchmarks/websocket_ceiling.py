"""A bare uvloop protocol that answers frames of known sizes with prebuilt ones: the floor.

It reads no frame and calls no application; nothing that does can be faster.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

from benchmarks.websocket_load import echoed
from katana_asgi.testing import masked
from katana_asgi.testing.websocket_peer import TEXT

SIZES = (32, 1024, 65536)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ANSWERS = {len(masked(TEXT, bytes(size))): echoed(bytes(size)) for size in SIZES}


class Ceiling(asyncio.Protocol):
    """One connection: a handshake, then frames, recognised by their size alone."""

    def __init__(self) -> None:
        self._open = False
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        """Answer the handshake, then whatever adds up to a known frame."""
        if not self._open:
            self._open = True
            self._write(SWITCHING)
            return
        self._received += len(data)
        answer = ANSWERS.get(self._received)
        if answer is not None:
            self._received = 0
            self._write(answer)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Ceiling, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    import uvloop

    uvloop.run(serve(arguments.port))


if __name__ == "__main__":
    main()
