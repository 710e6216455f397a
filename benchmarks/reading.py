"""Does a buffered protocol read uploads more cheaply than one that is given bytes?

Both read the same stream and copy it once into bytes, as a server must that hands content to an
application. Prints CPU time for each MiB and read, taking turns: ``python -m benchmarks.reading``.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time

import uvloop

__all__ = ["main"]

MIB = 1024 * 1024
BUFFER = 256 * 1024


class Plain(asyncio.Protocol):
    """Is given each read as bytes."""

    def __init__(self, done: asyncio.Future[int]) -> None:
        self.done = done
        self.reads = 0
        self.last = b""

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self.last = data

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(self.reads)


class Buffered(asyncio.BufferedProtocol):
    """Offers a buffer and takes out of it what was read."""

    def __init__(self, done: asyncio.Future[int]) -> None:
        self.done = done
        self.reads = 0
        self.last = b""
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        self.reads += 1
        self.last = bytes(self.view[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(self.reads)


def _send(sock: socket.socket, pieces: int, piece: int) -> None:
    data = bytes(piece)
    with sock:
        for _ in range(pieces):
            sock.sendall(data)


async def _read(kind: type[Plain] | type[Buffered], pieces: int, piece: int) -> tuple[float, int]:
    """CPU seconds and reads for one stream."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    done: asyncio.Future[int] = loop.create_future()
    sender = multiprocessing.get_context("fork").Process(target=_send, args=(theirs, pieces, piece))
    sender.start()
    theirs.close()
    begin = time.process_time()
    await loop.create_connection(lambda: kind(done), sock=ours)
    reads = await done
    used = time.process_time() - begin
    sender.join()
    return used, reads


def main() -> None:
    """Compare both for small and for large pieces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for piece, total in ((1024, 32 * MIB), (64 * 1024, 512 * MIB), (MIB, 512 * MIB)):
        for kind in (Plain, Buffered):
            found = [uvloop.run(_read(kind, total // piece, piece)) for _ in range(rounds)]
            used = statistics.median(seconds for seconds, _ in found)
            reads = statistics.median(count for _, count in found)
            print(
                f"{piece:>8} bytes at a time  {kind.__name__:<9}"
                f"{used / total * MIB * 1e6:8.1f} us/MiB {used / reads * 1e6:7.2f} us/read"
                f" {reads:8.0f} reads"
            )


if __name__ == "__main__":
    main()
