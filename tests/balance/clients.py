"""Raw clients of services with several workers, one connection each."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support import TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["OPENED", "Client", "asked_once", "is_even", "open_clients", "serving", "spread"]

READY = r"Worker \d+ \[\d+\] is ready"

MAIN = """
import os, sys, time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    path, body = scope["path"], b"%d" % os.getpid()
    if path == "/scope":
        body = repr((scope["client"], scope["server"], scope["scheme"])).encode()
    elif path == "/modules":
        body = " ".join(sys.modules).encode()
    elif path == "/read":
        while (await receive()).get("more_body"):
            pass
    elif path == "/block":
        print("blocking", file=sys.stderr, flush=True)
        time.sleep(float(scope["query_string"]))
    elif path.startswith("/echo/"):
        body = path.encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


OPENED: list[Client] = []
"""What the present test has opened: closed at its end."""


class Client:
    """A connection that stays open, to be asked again and again."""

    def __init__(self, url: str) -> None:
        OPENED.append(self)
        if url.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            # Without a timeout: with one, a queue that is full for a moment refuses at once.
            self.sock.connect(url.removeprefix("unix:"))
            self.sock.settimeout(TIMEOUT)
        else:
            address = urlsplit(url)
            where = str(address.hostname), address.port or 0
            self.sock = socket.create_connection(where, TIMEOUT)
        self._data = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, target: str = "/pid") -> str:
        """The content of the response to a request."""
        self.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())
        return self.answer()

    def answer(self) -> str:
        """The content of the next response, which must not be the last of the connection."""
        head, body = self.read_response()
        assert b"\r\nconnection: close" not in head.lower(), head
        return body

    def read_response(self) -> tuple[bytes, str]:
        """Head and content of the next response."""
        head = self._until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(self._data) < length:
            self._read()
        body, self._data = self._data[:length], self._data[length:]
        return head, body.decode()

    def head(self) -> bytes:
        """The next head, which has no content."""
        return self._until(b"\r\n\r\n")

    def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            self._read()
        found, _, self._data = self._data.partition(end)
        return found + end

    def _read(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError(f"closed; so far {self._data[:200]!r}")
        self._data += data

    def close(self) -> None:
        self.sock.close()


def serving(
    place: object, workers: int, *flags: str, workers_flag: bool = True, **more: object
) -> tuple[ServerProcess, str]:
    """A balanced service that is ready as a whole, and where it listens first."""
    words = ("main:app", "--balance", "auto", "--no-access-log")
    if workers_flag:
        words += ("--workers", str(workers))
    server = ServerProcess(*words, "--lifespan", "off", *flags, cwd=place, **more)  # type: ignore[arg-type]
    url = server.wait_listening()
    for _ in range(workers - 1):
        server.wait_for(READY)
    return server, url


def open_clients(url: str, count: int) -> list[Client]:
    """Clients that have each been answered before the next one connects."""
    clients = []
    for _ in range(count):
        clients.append(Client(url))
        clients[-1].ask()
    return clients


def asked_once(url: str, count: int) -> list[str]:
    """The responses to such clients, which have gone."""
    clients = open_clients(url, count)
    found = [each.ask() for each in clients]
    for each in clients:
        each.close()
    return found


def spread(pids: Iterable[str], workers: int) -> list[int]:
    """How many connections each worker has, the emptiest first."""
    counts = sorted(Counter(pids).values())
    return [0] * (workers - len(counts)) + counts


def is_even(counts: list[int], doubt: int = 0) -> bool:
    """Whether workers differ by no more than they may.

    ``doubt``: what they know of each other may be a beat old, and count a call that has ended.
    """
    return counts[-1] - counts[0] <= max(2, counts[-1] // 8) + doubt
