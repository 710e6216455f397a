"""What the event loop alone can do: uvloop protocols that answer fixed bytes.

``fixed`` answers any read with one response, ``each`` answers every request in a read with a
write of its own, ``closing`` answers and closes. Nothing is parsed: no server can beat these.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import uvloop

HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: ceiling\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"content-type: text/plain\r\ncontent-length: 13\r\n"
)
RESPONSE = HEAD + b"\r\nHello, World!"
CLOSING_RESPONSE = HEAD + b"connection: close\r\n\r\nHello, World!"


class Fixed(asyncio.Protocol):
    """Answers any read with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports implement asyncio's interface without inheriting from it.
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def data_received(self, data: bytes) -> None:
        self.write(RESPONSE)


class Each(Fixed):
    """Answers each request of a read with a write, as a server without a cork does."""

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self.write(RESPONSE)


class Closing(Fixed):
    """Answers the first read and closes."""

    def data_received(self, data: bytes) -> None:
        self.write(CLOSING_RESPONSE)
        self.transport.close()


PROTOCOLS: dict[str, type[Fixed]] = {"fixed": Fixed, "each": Each, "closing": Closing}


async def serve(protocol: type[Fixed], port: int) -> None:
    """Serve on 127.0.0.1 until the process is stopped."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    """Run one ceiling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(PROTOCOLS[arguments.protocol], arguments.port))


if __name__ == "__main__":
    main()
