"""What one worker does as it accepts: it, and a neighbour that is only a row and a channel."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import Server
from katana_asgi.balance.links import Links, pass_on
from katana_asgi.worker.balancing import Balancer
from katana_asgi.worker.loop import loop_factory, run_to_end
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from katana_asgi.balance.links import Share
    from katana_asgi.balance.table import Row

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux")

ON_BOTH_LOOPS = pytest.mark.parametrize("loop", ["auto", "asyncio"])


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


class CountedRow:
    """Counts how often a row is read, and written by its owner's beat."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.reads = 0
        self.beats = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)

    def takes(self, now: int) -> bool:
        self.reads += 1
        return self.row.takes(now)

    def beat(self, now: int, lag: int) -> None:
        self.beats += 1
        self.row.beat(now, lag)


@contextmanager
def shared() -> Iterator[Share]:
    """What worker 1 gets; worker 2 has nothing to do, and takes nothing out of its channel."""
    links = Links(2)
    share = links.share(1, {2: []})
    share.rows[1].enter(os.getpid(), int(time.monotonic() * 1000) + 3_600_000)
    try:
        yield share
    finally:
        links.close()


def while_serving(
    share: Share, loop: str, work: Callable[[str, int], None]
) -> tuple[Server, Balancer]:
    """Have a thread do ``work`` with the address of worker 1, on a loop of the kind."""
    server = Server(ok, port=0, lifespan="off", access_log=False)
    server.balancer = balancer = Balancer(share)

    async def main() -> None:
        async with server:
            host, port = server.addresses[0]
            await asyncio.to_thread(work, str(host), int(port))

    run_to_end(main, loop_factory(loop))
    return server, balancer


def ask_on_new_connections(host: str, port: int) -> None:
    for _ in range(200):
        with socket.create_connection((host, port), TIMEOUT) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass


@ON_BOTH_LOOPS
def test_connections_one_after_another_stay_where_they_were_accepted(loop: str) -> None:
    """This worker never has more than a connection at a time."""
    with shared() as share:
        server, balancer = while_serving(share, loop, ask_on_new_connections)
    assert (balancer.handed, balancer.kept, server.requests) == (0, 0, 200)


@ON_BOTH_LOOPS
def test_while_the_load_is_even_accepting_reads_nothing_of_the_others(loop: str) -> None:
    """Only the beat does."""
    with shared() as share:
        own, other = map(CountedRow, share.rows[:2])
        counted = share._replace(rows=[own, other, *share.rows[2:]])
        while_serving(counted, loop, ask_on_new_connections)
    assert own.beats
    assert other.reads <= 3 * own.beats


@ON_BOTH_LOOPS
def test_what_a_full_channel_does_not_take_is_served_here(loop: str) -> None:
    with shared() as share, socket.socket() as filler:
        while pass_on(share.outboxes[1], b"", filler.fileno()):
            pass

        def work(host: str, port: int) -> None:
            clients = [socket.create_connection((host, port), TIMEOUT) for _ in range(12)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for client in clients:
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
                client.close()

        server, balancer = while_serving(share, loop, work)
    assert server.requests == 12
    assert balancer.handed == 0
    assert balancer.kept > 0
