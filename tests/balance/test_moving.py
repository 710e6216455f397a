"""Idle connections outlive the worker that accepted them, and their clients do not notice."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from clients import Client, is_even, open_clients, serving, spread

from katana_asgi import Server
from katana_asgi.balance.idle import Idle
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.testing import running
from katana_asgi.worker.moving import Mover
from katana_asgi.worker.switchboard import Switchboard
from tests.support import TIMEOUT, ServerProcess, within

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from katana_asgi.asgi.context import WorkerContext

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def reload(server: ServerProcess) -> None:
    """Replace all workers, and wait until those of before have ended."""
    old = set(re.findall(r"Worker \d+ \[(\d+)\] is ready", server.stderr))
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: all")
    wait_ended(server, old)


def wait_ended(server: ServerProcess, pids: set[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while pids - set(re.findall(r"Worker \d+ \[(\d+)\] ended", server.stderr)):
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.02)


def is_open(client: Client) -> bool:
    """Whether nothing has come, not even the end of the connection."""
    return not select.select([client.sock], [], [], 0)[0]


@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_a_reload_closes_no_idle_connection(place: Path, loop: str) -> None:
    """Of TCP and Unix sockets, used or new, with and without what a PROXY header has told."""
    path = place / "socket"
    binds = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}", "--loop", loop)
    proxy = ("--proxy-protocol", "--forwarded-allow-ips", "unix")
    server, url = serving(place, 2, *binds, *proxy, port=False)
    with server:
        clients = open_clients(url, 20)
        fresh = [Client(url) for _ in range(4)]
        proxied = []
        for number in range(4):
            proxied.append(Client(f"unix:{path}"))
            proxied[-1].send(b"PROXY TCP4 192.0.2.%d 198.51.100.2 4711 443\r\n" % number)
            proxied[-1].ask()
        facts = [each.ask("/scope") for each in (*clients, *proxied)]
        assert "192.0.2.3" in facts[-1]
        pids = {each.ask() for each in clients}
        for _ in range(2):
            reload(server)
            assert all(map(is_open, (*clients, *proxied, *fresh)))
        assert [each.ask("/scope") for each in (*clients, *proxied)] == facts
        for each in fresh:
            ours, theirs = each.sock.getsockname(), each.sock.getpeername()
            assert each.ask("/scope") == repr((ours, theirs, "http"))
        after = [each.ask() for each in clients]
        assert not pids & set(after)
        assert min(spread(after, 2)) > 0
        server.stop()
        assert "Traceback" not in server.stderr


def test_a_new_program_closes_no_idle_connection(place: Path) -> None:
    """Twice in a row, with more workers, and with fewer, than before."""
    config = place / "katana.toml"
    config.write_text("workers = 2\n")
    server, url = serving(place, 2, "--supervise", "--config", str(config), workers_flag=False)
    with server:
        clients = open_clients(url, 12)
        old = {each.ask() for each in clients}
        supervisor = server.process.pid
        for workers in (3, 1):
            config.write_text(f"workers = {workers}\n")
            os.kill(supervisor, signal.SIGUSR2)
            supervisor = int(server.wait_for(r"The new supervisor \[(\d+)\] is ready")[1])
            server.wait_for("Stopped supervisor")
            assert all(map(is_open, clients))
            new = {each.ask() for each in clients}
            assert not old & new
            assert len(new) <= workers
            old = new
        os.kill(supervisor, signal.SIGTERM)
        server.wait_for("Stopped supervisor")


def test_a_new_program_that_does_not_start_leaves_the_balance_as_it_was(place: Path) -> None:
    path = place / "socket"
    server, url = serving(place, 2, "--uds", str(path), port=False)
    with server:
        working = (place / "main.py").read_text()
        (place / "main.py").write_text("raise SystemError")
        server.signal(signal.SIGUSR2)
        server.wait_for("failed to start; this one goes on")
        (place / "main.py").write_text(working)
        clients = open_clients(url, 12)
        pids = [each.ask() for each in clients]
        assert is_even(spread(pids, 2), doubt=1)
        reload(server)
        assert all(map(is_open, clients))


def test_what_is_half_read_or_half_sent_stays_until_it_is_done(place: Path) -> None:
    (place / "main.py").write_text(
        (place / "main.py").read_text().replace('b"%d" % os.getpid()', "b'x' * 10_000_000")
    )
    server, url = serving(place, 2, "--timeout-drain-idle", "1s")
    with server:
        half = Client(url)
        half.send(b"GET /echo/half HTTP/1.1\r\nHost")
        unread = Client(url)
        unread.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        select.select([unread.sock], [], [], TIMEOUT)
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: all")
        half.send(b": a\r\n\r\n")
        assert half.read_response()[1] == "/echo/half"
        assert len(unread.read_response()[1]) == 10_000_000


def test_requests_at_any_moment_are_answered_once_by_the_one_or_the_other(place: Path) -> None:
    """Several reloads under clients that send at random moments, some requests back to back."""
    server, url = serving(place, 2)
    with server:
        users = [User(open_clients(url, 6), number) for number in range(3)]
        for user in users:
            user.start()
        for _ in range(3):
            reload(server)
        for user in users:
            user.stop()
        assert [user.failures for user in users] == [[]] * 3
        assert sum(user.asked for user in users) > 300


class User(threading.Thread):
    """Asks on connections in turn, and checks that each answer is that to its request."""

    def __init__(self, clients: list[Client], number: int) -> None:
        super().__init__(daemon=True)
        self._clients = clients
        self._number = number
        self._stopped = threading.Event()
        self.asked = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._stopped.wait(0.001):
            client = self._clients[self.asked % len(self._clients)]
            targets = [f"/echo/{self._number}/{self.asked}/{part}" for part in range(2)]
            try:
                for target in targets:
                    client.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())
                answers = [client.answer() for _ in targets]
            except (AssertionError, OSError) as error:
                self.failures.append(repr(error))
                return
            if answers != targets:
                self.failures.append(f"{targets}: {answers}")
            self.asked += 1

    def stop(self) -> None:
        self._stopped.set()
        self.join(TIMEOUT)
        self.failures += [f"{each}: more" for each in self._clients if not is_open(each)]


def test_a_worker_that_is_not_wanted_any_more_takes_no_idle_connection_along(place: Path) -> None:
    server, url = serving(place, 2)
    with server:
        clients = open_clients(url, 12)
        old = {each.ask() for each in clients}
        assert len(old) == 2
        server.signal(signal.SIGTTOU)
        wait_ended(server, old)
        assert all(map(is_open, clients))
        (pid,) = {each.ask() for each in clients}
        assert pid not in old


def test_a_recycled_worker_takes_no_idle_connection_along(place: Path) -> None:
    server, url = serving(place, 2, "--limit-max-requests", "40", "--recycle-jitter", "0")
    with server:
        clients = open_clients(url, 10)
        old = {each.ask() for each in clients}
        while "retires" not in server.stderr:
            clients[0].ask()
        server.wait_for(r"Worker \d+ \[\d+\] ended")
        assert all(map(is_open, clients))
        assert {each.ask() for each in clients} - old


def test_a_worker_that_joins_gets_some_of_what_is_idle(place: Path) -> None:
    server, url = serving(place, 2)
    with server:
        clients = open_clients(url, 24)
        assert len({each.ask() for each in clients}) == 2
        server.signal(signal.SIGTTIN)
        new = server.wait_for(r"Worker 3 \[(\d+)\] is ready")[1]
        deadline = time.monotonic() + TIMEOUT
        while spread([pid for each in clients if (pid := each.ask()) == new], 1)[0] < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_tls_and_what_has_no_other_worker_ends_as_before(place: Path) -> None:
    server, url = serving(place, 1, "--supervise", "--timeout-drain-idle", "0.1s")
    with server:
        client = open_clients(url, 1)[0]
        reload(server)
        assert client.sock.recv(1) == b""


# -- what travels along ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "idle",
    [
        Idle(True, 0, 74.25, False, ("127.0.0.1", 80), None),
        Idle(False, 3, 9.0, None, ("/run/ü.sock", None), {"version": 2, "tlvs": ((5, b"\0\xff"),)}),
    ],
)
def test_what_travels_is_the_same_on_the_other_side(idle: Idle) -> None:
    assert Idle.unpack(idle.pack()) == idle


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def context_of(server: Server) -> WorkerContext:
    assert server.context is not None
    return server.context


def mover_of(server: Server, sent: list[tuple[bytes, socket.socket]]) -> Mover:
    """Moves connections of ``server`` into ``sent``, and takes others for it."""

    def send(_target: int, message: bytes, descriptor: int) -> bool:
        sent.append((message, socket.socket(fileno=os.dup(descriptor))))
        return True

    context = context_of(server)
    return Mover(context, Switchboard(server.config, context).plain, send)


async def test_deadline_and_requests_left_travel_along() -> None:
    settings: dict[str, Any] = {"lifespan": "off", "limit_keep_alive_requests": 3}
    sent: list[tuple[bytes, socket.socket]] = []
    async with running(ok, **settings) as here, running(ok, **settings) as there:
        async with await here.connect() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).body == b"ok"
            (connection,) = context_of(here.server).clock.watched
            assert isinstance(connection, Http1Connection)
            connection.deadline -= 30.0  # it has waited for so long
            deadline = connection.deadline

            mover = mover_of(here.server, sent)
            assert mover.move(connection, 0)
            assert not mover.move(connection, 0)  # it is not there any more
            (message, sock) = sent.pop()
            other = mover_of(there.server, sent)
            await here.server.context.loop.connect_accepted_socket(other.protocol(message), sock)  # type: ignore[union-attr]
            (moved,) = context_of(there.server).clock.watched
            assert moved.deadline == pytest.approx(deadline, abs=3)
            assert here.server.connections == 0

            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).header(b"connection") is None
            other.rebalance(0, 100, [0])  # it has come just now: it does not go back
            assert sent == []
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).header(b"connection") == b"close"
            assert await within(client.closed())


async def test_what_is_under_way_does_not_move() -> None:
    sent: list[tuple[bytes, socket.socket]] = []
    async with running(ok, lifespan="off") as here:
        mover = mover_of(here.server, sent)
        for data in (
            b"G",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
        ):
            async with await here.connect() as client:
                before = here.server.connections
                await client.send(data)
                while not before:
                    before = here.server.connections
                    await within(client.send())
                (connection,) = context_of(here.server).clock.watched
                assert isinstance(connection, Http1Connection)
                while connection.reading.fresh and connection.reading.complete:
                    await within(client.send())
                assert not mover.move(connection, 0)
        assert sent == []
