"""One buffer for all connections of a loop, and none of another loop."""

from __future__ import annotations

import asyncio
import threading

from katana_asgi.net.tls_reading import BufferedReads


class Reader(asyncio.Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.reads = BufferedReads(self)

    def data_received(self, data: bytes) -> None:
        self.data += data


def fill(reader: Reader, data: bytes) -> None:
    """What a transport does first."""
    reader.reads.get_buffer(-1)[: len(data)] = data


def test_what_a_loop_in_another_thread_reads_meanwhile_stays_there():
    here = Reader()
    others: list[Reader] = []

    def read_there() -> None:
        there = Reader()
        fill(there, b"there")
        there.reads.buffer_updated(5)
        others.append(there)

    fill(here, b"here.")
    thread = threading.Thread(target=read_there)
    thread.start()
    thread.join()
    here.reads.buffer_updated(5)
    assert (here.data, others[0].data) == (b"here.", b"there")


def test_connections_of_one_loop_share_the_buffer():
    assert Reader().reads.get_buffer(-1) is Reader().reads.get_buffer(-1)
