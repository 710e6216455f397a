"""Faults of the system, in real processes: killed workers, full disks, no descriptors left."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support import TIMEOUT, ServerProcess

if TYPE_CHECKING:
    pass

MAIN = """
import asyncio, os, sys

kept = []

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = b"served"
    if scope["path"] == "/pid":
        body = b"%d" % os.getpid()
    elif scope["path"] == "/exit":
        task = asyncio.ensure_future(leave())
        try:
            await task
        except BaseException as error:
            body = type(error).__name__.encode()
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            body = b"%10d" % os.getpid()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.sleep(0.001)
    elif scope["path"] == "/take":
        try:
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            body = b"%d" % error.errno
    elif scope["path"] == "/borrow":
        os.close(os.open("/dev/null", os.O_RDONLY))
        body = b"opened"
    elif scope["path"] == "/give":
        while kept:
            os.close(kept.pop())
    elif scope["path"] == "/print":
        print("from the application", flush=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

async def leave():
    await asyncio.sleep(0)
    raise {"SystemExit": SystemExit(5), "KeyboardInterrupt": KeyboardInterrupt()}[KIND]

KIND = os.environ.get("KIND", "SystemExit")
"""

LOOPS = ["uvloop", "asyncio"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the module ``main``."""
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


class Client:
    """A keep-alive connection with a short word for a request."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.http = HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT)

    def ask(self, target: str = "/") -> bytes:
        self.http.request("GET", target)
        return self.http.getresponse().read()

    def close(self) -> None:
        self.http.close()


def ask(url: str, target: str = "/") -> bytes:
    """The content of a response, on a connection of its own."""
    with closing(Client(url)) as client:
        return client.ask(target)


# -- workers


def test_a_worker_killed_within_a_response_is_replaced_and_nobody_takes_it_for_whole(place):
    with ServerProcess("main:app", "--workers", "2", "--no-access-log", cwd=place) as server:
        url = server.wait_listening()
        server.wait_for("is ready")
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), TIMEOUT) as client:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while (match := re.search(rb"\r\n *([0-9]+)\r\n", received)) is None:
                received += client.recv(4096)
            victim = int(match[1])
            os.kill(victim, signal.SIGKILL)
            with suppress(ConnectionResetError):
                while data := client.recv(65536):
                    received += data
        assert not received.endswith(b"0\r\n\r\n")
        server.wait_for("died")
        server.wait_for("is ready")
        pids = {int(ask(url, "/pid")) for _ in range(50)}
        assert victim not in pids
        assert server.stop() == 0


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_task_of_the_application_that_exits_ends_no_worker(place, loop, kind, workers):
    arguments = ("--loop", loop, "--workers", workers, "--no-access-log")
    with ServerProcess("main:app", *arguments, cwd=place, env={"KIND": kind}) as server:
        url = server.wait_listening()
        with closing(Client(url)) as client:
            pid = client.ask("/pid")
            for _ in range(3):
                assert client.ask("/exit") == kind.encode()
            assert client.ask("/pid") == pid
        assert server.stop() == 0
    assert server.stderr.count(f"raised {kind}") == 3


# -- descriptors


def with_few_descriptors(server: ServerProcess) -> ServerProcess:
    """Let a process that has just been started open few files.

    Its interpreter takes longer to start than this; the test's own process keeps its limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, hard))
    return server


@pytest.mark.parametrize("loop", LOOPS)
def test_without_descriptors_the_server_serves_who_is_there_and_recovers(place, loop):
    arguments = ("--loop", loop, "--limit-connections", "100000", "--no-access-log")
    with with_few_descriptors(ServerProcess("main:app", *arguments, cwd=place)) as server:
        url = server.wait_listening()
        with closing(Client(url)) as steady:
            for again in (False, True):
                assert steady.ask("/take") == b"24"  # EMFILE
                address = urlsplit(url)
                newcomers = [
                    socket.create_connection((address.hostname, address.port), TIMEOUT)
                    for _ in range(30)
                ]
                for _ in range(20):
                    assert steady.ask() == b"served"
                if not again:
                    server.wait_for("Out of file descriptors")
                for newcomer in newcomers:
                    newcomer.close()
                assert steady.ask("/give") == b"served"
                _serves_again(url)
        assert server.stop() == 0
    assert len(server.stderr) < 2000  # said once, not at every attempt
    assert server.stderr.count("Out of file descriptors") == 1


def _serves_again(url: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:  # asyncio tries again after a second
        try:
            assert ask(url) == b"served"
            return
        except OSError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("loop", LOOPS)
def test_by_default_connections_leave_descriptors_to_the_application(place, loop):
    arguments = ("--loop", loop, "--no-access-log")
    with with_few_descriptors(ServerProcess("main:app", *arguments, cwd=place)) as server:
        url = server.wait_listening()
        clients = [Client(url) for _ in range(40)]
        served = 0
        for client in clients:  # the oldest ones make room for the others
            assert client.ask() == b"served"
            served += 1
            assert client.ask("/borrow") == b"opened"  # and still the application can open
        for client in clients:
            client.close()
        assert server.stop() == 0
    assert served == 40
    assert "Out of file descriptors" not in server.stderr


# -- logs


class Redirected:
    """A server whose standard streams go where a shell sends them."""

    def __init__(self, place: Path, streams: str, *arguments: str) -> None:
        self.socket = str(place / "socket")
        root = str(Path(__file__).parent.parent.parent)
        command = f'exec "{sys.executable}" -m katana_asgi main:app "$@" {streams}'
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command, "sh", "--uds", self.socket, *arguments],
            cwd=place,
            env={**os.environ, "PYTHONPATH": root},
            start_new_session=True,
        )

    def ask(self, target: str = "/") -> bytes:
        deadline = time.monotonic() + TIMEOUT
        while True:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(TIMEOUT)
                try:
                    client.connect(self.socket)
                except OSError:  # not there yet
                    assert self.process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                    continue
                client.sendall(
                    b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target.encode()
                )
                answer = b""
                while data := client.recv(4096):
                    answer += data
                return answer

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "streams",
    [
        ">/dev/full 2>errors",
        ">/dev/full 2>/dev/full",
        "2>/dev/full >output",
        ">&- 2>errors",
        "2>&- >output",
        "<&- >&- 2>&-",
    ],
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_logs_that_cannot_be_written_are_lost_and_nothing_else(place, streams, workers):
    server = Redirected(place, streams, "--workers", workers)
    try:
        for _ in range(3):
            assert server.ask().endswith(b"\r\n\r\nserved")
        # What cannot be printed is an exception of the application's, and never another's bytes.
        assert server.ask("/print").startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 500 "))
        assert server.stop() == 0
    finally:
        server.kill()
    errors = place / "errors"
    if errors.exists():
        text = errors.read_text()
        assert text.count("katana_asgi.access cannot be written") <= int(workers)
        if "dev/full" in streams:
            assert "katana_asgi.access cannot be written" in text


def test_a_reader_of_the_log_that_goes_away_harms_nothing(place):
    server = Redirected(place, "2>errors | head -c 1 >/dev/null")
    try:
        for _ in range(5):
            assert server.ask().endswith(b"\r\n\r\nserved")
    finally:
        server.kill()
