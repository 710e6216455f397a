"""Clients that do harm, many in one process: they drip, stop, reset, or send nonsense.

``python -m benchmarks.attackers KIND:SIZE,... PORT SECONDS`` runs crowds and prints what became of
each as JSON. Plain sockets that do not block: one turn of a crowd touches each of them once.
"""

from __future__ import annotations

import json
import random
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import ceil

__all__ = ["KINDS", "Crowd", "Kind"]

STEP = 0.005
"""Seconds between the turns of a crowd, each of which touches its share: nothing bursts."""

NEW_EACH_TURN = 5
"""Connections a crowd opens in one turn, a thousand in a second."""

HEAD = b"Host: a\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HEAD
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a connection sends when it opens and in each turn, and how it reads and ends.

    ``random`` bytes follow ``opening``, where they are not 0; with ``ends`` its side ends then.
    """

    opening: bytes = b""
    piece: bytes = b""
    reads: int = 65536
    resets: bool = False
    interval: float = 1.0
    nonsense: bool = False
    random: int = 0
    ends: bool = False


KINDS = {
    "idle": Kind(),
    "slow-head": Kind(b"GET / HTTP/1.1\r\n" + HEAD, b"X-a: b\r\n"),
    "slow-head-bytes": Kind(b"GET / HTTP/1.1\r\nX: ", b"x", interval=0.1),
    "slow-body": Kind(POST + b"Content-Length: 100000\r\n\r\n", b"x"),
    "slow-chunks": Kind(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "slow-read": Kind(b"GET /large HTTP/1.1\r\n" + HEAD + b"\r\n", reads=64),
    "reset": Kind(b"GET /large HTTP/1.1\r\n" + HEAD + b"\r\n", resets=True, interval=0.1),
    "nonsense": Kind(nonsense=True, interval=0.1),
    "half-closed": Kind(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 99, ends=True),
    "half-closed-answer": Kind(b"GET /large HTTP/1.1\r\n" + HEAD + b"\r\n", ends=True),
    "http2-nonsense": Kind(PREFACE, random=500, interval=0.1),
    "http2-idle": Kind(PREFACE),
    "websocket-nonsense": Kind(HANDSHAKE, random=500, interval=0.1),
    "websocket-slow": Kind(HANDSHAKE + b"\x81\xfe\x7f\xff\0\0\0\0", b"x"),
}


@dataclass
class Fate:
    """What became of a crowd."""

    opened: int = 0
    not_opened: int = 0
    ended_by_server: int = 0
    most_at_once: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


class Crowd:
    """``size`` connections of a kind; one that the server ends is opened again."""

    def __init__(self, kind: Kind, address: tuple[str, int], size: int) -> None:
        self._kind = kind
        self._address = address
        self._size = size
        self._sockets: list[socket.socket] = []
        self._silent: set[int] = set()  # has not been answered yet
        self._chance = random.Random(1)
        self.fate = Fate()

    def turn(self) -> None:
        """Open what is missing, then touch those whose time has come, the oldest first."""
        for _ in range(min(NEW_EACH_TURN, self._size - len(self._sockets))):
            self._open()
        self.fate.most_at_once = max(self.fate.most_at_once, len(self._sockets))
        share = ceil(len(self._sockets) * STEP / self._kind.interval)
        now, later = self._sockets[:share], self._sockets[share:]
        self._sockets = later + [each for each in now if self._touch(each)]

    def close(self) -> None:
        """Close all connections in order."""
        for each in self._sockets:
            each.close()
        self._sockets = []

    def _open(self) -> None:
        sock = socket.socket()
        if self._kind.reads < 1024:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.2)
        try:
            sock.connect(self._address)
            sock.setblocking(False)
            sock.send(self._nonsense() if self._kind.nonsense else self._opening())
            if self._kind.ends:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.fate.not_opened += 1
            sock.close()
            return
        self.fate.opened += 1
        self._silent.add(sock.fileno())
        self._sockets.append(sock)

    def _touch(self, sock: socket.socket) -> bool:
        """Send a piece and read a little, or go; says whether the connection still stands."""
        if self._kind.resets:
            return self._reset(sock)
        try:
            if self._kind.piece:
                sock.send(self._kind.piece)
        except BlockingIOError:
            pass
        except OSError:
            self._note_answer(sock)
            return self._ended(sock)
        try:
            return self._note(sock, sock.recv(self._kind.reads)) or self._ended(sock)
        except BlockingIOError:
            return True
        except OSError:
            return self._ended(sock)

    def _note_answer(self, sock: socket.socket) -> None:
        with suppress(OSError):
            self._note(sock, sock.recv(4096))

    def _note(self, sock: socket.socket, data: bytes) -> bool:
        if data and sock.fileno() in self._silent:
            self._silent.discard(sock.fileno())
            status = data[9:12].decode("latin-1") if data.startswith(b"HTTP/1") else "other"
            self.fate.statuses[status] = self.fate.statuses.get(status, 0) + 1
        return bool(data)

    def _ended(self, sock: socket.socket) -> bool:
        self.fate.ended_by_server += 1
        self._silent.discard(sock.fileno())
        sock.close()
        return False

    def _reset(self, sock: socket.socket) -> bool:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._silent.discard(sock.fileno())
        sock.close()
        return False

    def _opening(self) -> bytes:
        return self._kind.opening + self._chance.randbytes(self._kind.random)

    def _nonsense(self) -> bytes:
        data = bytearray(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
        for _ in range(self._chance.randint(1, 8)):
            data[self._chance.randrange(len(data))] = self._chance.randrange(256)
        return bytes(data)


def run(sizes: dict[str, int], port: int, keep_on: Callable[[], bool]) -> dict[str, Fate]:
    """Run a crowd of each kind until ``keep_on`` says no."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    address = ("127.0.0.1", port)
    crowds = {kind: Crowd(KINDS[kind], address, size) for kind, size in sizes.items()}
    while keep_on():
        begin = time.monotonic()
        for crowd in crowds.values():
            crowd.turn()
        time.sleep(max(0.0, STEP - (time.monotonic() - begin)))
    for crowd in crowds.values():
        crowd.close()
    return {kind: crowd.fate for kind, crowd in crowds.items()}


def main() -> None:
    """Attack, then tell."""
    words, port, seconds = sys.argv[1:4]
    pairs = (word.split(":") for word in words.split(","))
    sizes = {kind: int(size) for kind, size in pairs}
    until = time.monotonic() + float(seconds)
    fates = run(sizes, int(port), lambda: time.monotonic() < until)
    print(json.dumps({kind: asdict(fate) for kind, fate in fates.items()}))


if __name__ == "__main__":
    main()
