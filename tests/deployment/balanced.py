"""Two instances behind a real balancer, run from the files of examples/deployment."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import free_port
from tests.support import ROOT, TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "deployment"

MAIN = """
import json, os

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError("only http")
    more = True
    size = 0
    while more:
        message = await receive()
        more = message["more_body"]
        size += len(message["body"])
    told = {name: scope[name] for name in ("client", "server", "scheme")}
    told["proxy"] = sorted(scope["extensions"].get("proxy_protocol", ()))
    told["pid"] = os.getpid()
    told["size"] = size
    told["peer"] = str(scope["client"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


def program(name: str) -> str:
    """The path of a balancer; skips the test where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")
    return path


PAUSE = 0.005
"""Seconds between an answer and the next request of a client."""


class Instance:
    """One of the servers behind the balancer, on a port that stays the same."""

    def __init__(self, place: Path, port: int, arguments: tuple[str, ...]) -> None:
        self._place = place
        self.port = port
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        arguments = ("main:app", *self._arguments, "--port", str(self.port))
        self.process = ServerProcess(*arguments, cwd=self._place, port=False)
        self.process.wait_listening()

    def restart(self) -> None:
        """As a deployment does: SIGTERM, wait for the end, start anew."""
        assert self.process.stop() == 0, self.process.stderr
        self.start()


@contextmanager
def instances(
    place: Path, *arguments: str, count: int = 2, main: str = MAIN
) -> Iterator[list[Instance]]:
    """So many of them, killed at the end; ``main`` is the module of their application."""
    (place / "main.py").write_text(main)
    found: list[Instance] = []
    try:
        for _ in range(count):
            found.append(Instance(place, free_port(), arguments))  # noqa: PERF401 - to end what began
        yield found
    finally:
        for instance in found:
            instance.process.__exit__()


@contextmanager
def balancer(command: list[str], port: int) -> Iterator[int]:
    """Run a balancer until the end of the block; gives its port once it accepts."""
    with (
        TemporaryFile() as log,  # not a pipe: full, it would stop the balancer
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            deadline = time.monotonic() + TIMEOUT
            while not accepts(port):
                if process.poll() is not None:
                    log.seek(0)
                    raise AssertionError(log.read().decode())
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=TIMEOUT)
            process.kill()


@contextmanager
def run_nginx(place: Path, text: str, port: int) -> Iterator[int]:
    """Run nginx with the configuration ``text``, which listens on ``port``, in ``place``."""
    path = program("nginx")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {place}/{kind};\n" for kind in kinds)
    text = text.replace("http {\n", "http {\n" + places, 1)
    user = "user root;\n" if os.geteuid() == 0 else ""  # or it could not enter the directory
    head = f"{user}daemon off;\npid {place}/nginx.pid;\nerror_log stderr;\n"
    (place / "nginx.conf").write_text(head + text)
    command = [path, "-e", "stderr", "-p", str(place), "-c", str(place / "nginx.conf")]
    with balancer(command, port):
        yield port


def accepts(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Load:
    """Clients that ask all the time, each on a kept connection, and remember what went wrong.

    They leave time for the servers that start meanwhile, on a machine with two cores.
    """

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._end = threading.Event()
        self.failures: list[str] = []
        self.answered = 0
        self.bodies: set[bytes] = set()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.answered + more
        deadline = time.monotonic() + TIMEOUT
        while self.answered < goal and not self.failures:
            assert time.monotonic() < deadline, f"{self.answered} of {goal}"
            time.sleep(0.02)

    def connection(self) -> HTTPConnection:
        """What one client asks through; it connects, and connects again, when it has to."""
        return HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)

    def _ask(self) -> None:
        with closing(self.connection()) as http:
            while not self._end.is_set():
                try:
                    http.request("GET", "/")
                    response = http.getresponse()
                    body = response.read()
                except OSError as error:
                    self.failures.append(repr(error))
                    return
                if response.status != 200:
                    self.failures.append(f"{response.status} {body!r}")
                self.bodies.add(body)
                self.answered += 1
                self._end.wait(PAUSE)


def ask(port: int, method: str = "GET", body: bytes | None = None) -> bytes:
    """The content of one response."""
    claims = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Host": "evil.example"}
    with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as http:
        http.request(method, "/", body, claims)
        response = http.getresponse()
        assert response.status == 200
        return response.read()
