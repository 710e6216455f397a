"""Connections that one worker accepts and another serves: every kind of listener."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trustme
from clients import Client, asked_once, is_even, open_clients, serving, spread

from tests.support import TIMEOUT, activated

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")

PROXY = b"PROXY TCP4 192.0.2.7 198.51.100.2 4711 443\r\n"


@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_connections_are_spread_evenly(place: Path, loop: str) -> None:
    """Over TCP, where each worker has a socket, and over a Unix socket, where all have one."""
    path = place / "socket"
    binds = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}", "--loop", loop)
    server, url = serving(place, 4, *binds, port=False)
    with server:
        clients = open_clients(url, 16)
        counts = spread([each.ask() for each in clients], 4)
        assert is_even(counts, doubt=1), counts
        clients += open_clients(f"unix:{path}", 24)
        counts = spread([each.ask() for each in clients], 4)
        assert is_even(counts, doubt=1), counts
        server.stop()
        assert "Traceback" not in server.stderr


def test_a_burst_is_spread_evenly(place: Path) -> None:
    """As well as workers know of each other while they all accept at once."""
    path = place / "socket"
    server, url = serving(place, 2, "--uds", str(path), port=False)
    with server:
        clients = [Client(url) for _ in range(200)]
        counts = spread([each.ask() for each in clients], 2)
        assert counts[-1] - counts[0] <= counts[-1] // 4, counts


def test_calls_under_way_count_as_much_as_connections(place: Path) -> None:
    """Sixteen long calls on four workers: four of them each, more or less."""
    path = place / "socket"
    server, url = serving(place, 4, "--uds", str(path), port=False)
    with server:
        clients = []
        for _ in range(16):
            client = Client(url)
            clients.append(client)
            client.send(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n")
            client.send(b"Expect: 100-continue\r\n\r\n")
            assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"  # the call has begun
        for client in clients:
            client.send(b"x")
        counts = spread([each.answer() for each in clients], 4)
        assert is_even(counts, doubt=1), counts


def test_connections_of_one_client_count_where_they_are_served(place: Path) -> None:
    """Six are not too many for two workers that take four, though one alone would refuse two."""
    path = place / "socket"
    flags = ("--proxy-protocol", "--forwarded-allow-ips", "unix")
    limit = ("--limit-connections-per-client", "4")
    server, url = serving(place, 2, "--uds", str(path), *flags, *limit, port=False)
    with server:
        clients, heads = [], []
        for _ in range(12):
            clients.append(Client(url))
            clients[-1].send(PROXY + b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
            heads.append(clients[-1].read_response()[0])
        served = [head.startswith(b"HTTP/1.1 200 ") for head in heads]
        assert all(served[:6])
        assert sum(served) <= 8


def test_an_inherited_socket_is_shared_evenly(place: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        server = activated(
            [("web", listener)],
            *("main:app", "--bind", "systemd", "--workers", "2", "--balance", "auto"),
            *("--lifespan", "off"),
            cwd=place,
        )
        with server:
            url = server.wait_listening()
            server.wait_for("is ready")
            counts = spread([each.ask() for each in open_clients(url, 16)], 2)
            assert is_even(counts, doubt=1), counts


def test_what_is_passed_on_is_read_by_the_other_alone(place: Path) -> None:
    """A PROXY header, and addresses, are what they would be without the hand-off."""
    path = place / "socket"
    flags = ("--proxy-protocol", "--forwarded-allow-ips", "unix,127.0.0.1")
    binds = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}")
    server, url = serving(place, 2, *binds, *flags, port=False)
    with server:
        clients = []
        for where in (url, f"unix:{path}"):
            for _ in range(8):
                clients.append(Client(where))
                clients[-1].send(PROXY)
                told = clients[-1].ask("/scope")
                assert told == "(('192.0.2.7', 4711), ('198.51.100.2', 443), 'http')"
        counts = spread([each.ask() for each in clients], 2)
        assert is_even(counts, doubt=1), counts


def test_addresses_are_those_of_the_connection(place: Path) -> None:
    path = place / "socket"
    binds = ("--bind", "127.0.0.1:0", "--bind", "[::1]:0", "--bind", f"unix:{path}")
    server, url = serving(place, 2, *binds, port=False)
    with server:
        clients = []
        other = server.stderr.split("Listening on ")[2].split()[0]
        for where in (url, other) * 6:
            client = Client(where)
            ours, theirs = client.sock.getsockname()[:2], client.sock.getpeername()[:2]
            assert client.ask("/scope") == repr((ours, theirs, "http"))
            clients.append(client)
        for _ in range(6):
            client = Client(f"unix:{path}")
            assert client.ask("/scope") == repr((None, (str(path), None), "http"))
            clients.append(client)
        counts = spread([each.ask() for each in clients], 2)
        assert is_even(counts, doubt=1), counts


def test_tls_begins_with_the_worker_that_serves(place: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(place / "site.pem"))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    path = place / "socket"
    flags = ("--ssl-certfile", "site.pem", "--ssl-keyfile", "site.pem")
    proxy = ("--proxy-protocol", "--forwarded-allow-ips", "unix")
    server, url = serving(place, 2, "--uds", str(path), *flags, *proxy, port=False)
    with server:
        clients = []
        for _ in range(12):
            client = Client(url)
            client.send(PROXY)
            client.sock = trust.wrap_socket(client.sock, server_hostname="localhost")
            told = client.ask("/scope")
            assert told == "(('192.0.2.7', 4711), ('198.51.100.2', 443), 'https')"
            clients.append(client)
        counts = spread([each.ask() for each in clients], 2)
        assert is_even(counts, doubt=1), counts
        plain = Client(url)
        plain.send(PROXY + b"GET / HTTP/1.1\r\n\r\n")
        assert plain.read_response()[0].startswith(b"HTTP/1.1 400 ")


def test_a_worker_that_does_not_beat_gets_nothing(place: Path) -> None:
    """One that is stopped is left alone at once or, with a few on their way, soon."""
    path = place / "socket"
    server, url = serving(place, 2, "--uds", str(path), port=False)
    with server:
        first = Client(url)
        serves = int(first.ask())
        others = open_clients(url, 8)
        stopped = next(int(pid) for each in others if int(pid := each.ask()) != serves)
        os.kill(stopped, signal.SIGSTOP)
        try:
            time.sleep(0.7)  # its last beat has to become old: nothing tells of that
            late = open_clients(url, 40)
            assert {int(each.ask()) for each in late} == {serves}
        finally:
            os.kill(stopped, signal.SIGCONT)
        deadline = time.monotonic() + TIMEOUT
        while set(asked_once(url, 4)) != {str(stopped)}:
            assert time.monotonic() < deadline


def channels_of(pid: str) -> int:
    """How many ends of channels (SOCK_SEQPACKET) a process has."""
    with open("/proc/net/unix") as table:
        inodes = {row.split()[6] for row in table if row.split()[4] == "0005"}
    count = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/{pid}/fd/{number}")[8:-1] in inodes
    return count


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="needs /proc")
@pytest.mark.parametrize(
    ("flags", "channels"),
    [
        (("--workers", "2"), True),
        (("--workers", "2", "--balance", "off"), False),
        (("--workers", "1"), False),
        (("--workers", "1", "--supervise"), False),
    ],
)
def test_without_others_to_share_with_there_is_no_channel(
    place: Path, flags: tuple[str, ...], channels: bool
) -> None:
    server, url = serving(place, 1, *flags)
    with server:
        client = Client(url)
        assert bool(channels_of(client.ask())) == channels
        loaded = client.ask("/modules").split()
        assert ("katana_asgi.worker.balancing" in loaded) == channels


def test_hand_offs_leave_no_descriptor_behind(place: Path) -> None:
    path = place / "socket"
    server, url = serving(place, 2, "--uds", str(path), port=False)
    with server:
        pids = set(asked_once(url, 8))
        assert len(pids) == 2
        before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
        for _ in range(10):
            clients = [Client(url) for _ in range(50)]
            for client in clients:
                client.ask()
                client.close()
        deadline = time.monotonic() + TIMEOUT
        while [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids] > before:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_limits_of_connections_count_where_a_connection_is_served(place: Path) -> None:
    """Eight at once are no worker's too many, though one alone may have to turn two away."""
    path = place / "socket"
    limit = ("--limit-connections", "6", "--timeout-keep-alive", "60s")
    server, url = serving(place, 2, "--uds", str(path), *limit, port=False)
    with server:
        clients = [Client(url) for _ in range(8)]
        for client in clients:
            client.send(b"GET /echo/x HTTP/1.1\r\nHost")
        heads = 0
        for client in clients:
            client.send(b": a\r\n\r\n")
            heads += client.read_response()[0].startswith(b"HTTP/1.1 200 ")
        assert heads == 8
