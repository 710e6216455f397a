"""A load generator for what wrk cannot do: constant rate, pools, churn, exact percentiles.

Open loop: request number n is due at start + n / rate, and its latency counts from then, sent
or not, so a server that stalls cannot hide the requests that waited (coordinated omission).
It spins on its own core with epoll: timers of an event loop tick in milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

from benchmarks.messages import load_requests
from benchmarks.responses import Framing

__all__ = ["ClosedLoop", "Connection", "ConstantRate", "Generator", "Load", "Outcome"]

SECOND = 1_000_000_000
CONNECT_TIMEOUT = 2.0
DRAIN = 2 * SECOND
"""Time that requests on their way get after the end of the load, in nanoseconds."""
READ = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: how often, over how many connections, for how long.

    ``messages`` go out one after the other, from that of number ``first`` on, and again.

    ``rate`` in requests a second makes it open loop; otherwise each of ``callers`` (by default
    one for each connection) sends its next request when it has the response to the last.
    ``reuse`` closes a connection after so many requests (1: churn; 0: never).
    """

    port: int
    messages: Sequence[bytes]
    first: int = 0
    connections: int = 1
    seconds: float = 1.0
    rate: float = 0.0
    callers: int = 0
    reuse: int = 0
    requests: int = 0
    """End after so many requests, where not 0."""


@dataclass(slots=True)
class Outcome:
    """What happened: completed requests, seconds, errors by kind, requests that never went out."""

    requests: int = 0
    seconds: float = 0.0
    unsent: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def error(self, kind: str) -> None:
        """Count one error."""
        self.errors[kind] = self.errors.get(kind, 0) + 1


class ConstantRate:
    """Requests that are due at fixed points in time, whatever the server does."""

    def __init__(self, rate: float, start: int) -> None:
        self.interval = SECOND / rate
        self.start = start
        self.count = 0

    def due(self, now: int) -> int | None:
        """Return when the next request was due, or ``None`` while it is not."""
        when = self.start + int(self.count * self.interval)
        if when > now:
            return None
        self.count += 1
        return when

    def completed(self, now: int) -> None:
        """Do nothing: responses do not make requests."""

    def waiting(self, now: int) -> int:
        """Return how many requests are due and not sent."""
        return max(int((now - self.start) / self.interval) + 1 - self.count, 0)


class ClosedLoop:
    """Callers that each wait for their response, and perhaps for a connection first."""

    def __init__(self, callers: int, start: int) -> None:
        self.queue = deque([start] * callers)

    def due(self, now: int) -> int | None:
        """Return since when the first caller waits, or ``None`` where none does."""
        return self.queue.popleft() if self.queue else None

    def completed(self, now: int) -> None:
        """Let the caller that has its response ask again."""
        self.queue.append(now)

    def waiting(self, now: int) -> int:
        """Return nothing: a caller in the queue of a pool is no request that was missed."""
        return 0


class Connection:
    """One connection to the server: a blocking socket, read only when epoll says so."""

    __slots__ = ("due", "framing", "port", "served", "sock")

    def __init__(self, port: int) -> None:
        self.port = port
        self.due = 0
        self.served = 0
        self.framing = Framing()
        self.sock: socket.socket | None = None

    def open(self) -> socket.socket:
        """Connect. Raises ``OSError``."""
        self.sock = socket.create_connection(("127.0.0.1", self.port), CONNECT_TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(None)
        self.served = 0
        self.framing.reset()
        return self.sock

    def close(self) -> None:
        """Close; epoll forgets a closed descriptor by itself."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None


class Generator:
    """Runs one load to its end; ``samples`` are latencies in nanoseconds, in order of arrival."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.outcome = Outcome()
        self.samples = array("Q")
        self.poller = select.epoll()
        self.idle: deque[Connection] = deque()
        self.busy: dict[int, Connection] = {}
        first = load.first % len(load.messages)
        self.next_message = cycle([*load.messages[first:], *load.messages[:first]]).__next__
        self.arrivals: ConstantRate | ClosedLoop = ClosedLoop(0, 0)

    def run(self) -> Outcome:
        """Send the load and wait for what is on its way."""
        load = self.load
        self.idle.extend(Connection(load.port) for _ in range(load.connections))
        if load.reuse != 1:
            self._open_all()
        start = perf_counter_ns()
        end = start + int(load.seconds * SECOND)
        if load.rate:
            self.arrivals = ConstantRate(load.rate, start)
        else:
            self.arrivals = ClosedLoop(load.callers or load.connections, start)
        now = self._spin(end)
        self.outcome.seconds = (now - start) / SECOND
        self.outcome.unsent = self.arrivals.waiting(now) if load.rate else 0
        self.outcome.requests = len(self.samples)
        self._drain(now + DRAIN)
        return self.outcome

    def _open_all(self) -> None:
        for connection in self.idle:
            self.poller.register(connection.open(), select.EPOLLIN)

    def _spin(self, end: int) -> int:
        poll, busy, ready, dispatch = self.poller.poll, self.busy, self._ready, self._dispatch
        limit = self.load.requests or sys.maxsize
        samples = self.samples
        while (now := perf_counter_ns()) < end and len(samples) < limit:
            dispatch(now)
            for descriptor, _ in poll(0):
                connection = busy.get(descriptor)
                if connection is not None:
                    ready(descriptor, connection)
                else:
                    self._idle_closed(descriptor)
        return now

    def _dispatch(self, now: int) -> None:
        idle, due_at = self.idle, self.arrivals.due
        while idle:
            due = due_at(now)
            if due is None or not self._send(idle.popleft(), due):
                return

    def _send(self, connection: Connection, due: int) -> bool:
        connection.due = due
        try:
            sock = connection.sock
            if sock is None:
                sock = connection.open()
                self.poller.register(sock, select.EPOLLIN)
            sock.sendall(self.next_message())
        except OSError:
            self._failed(connection, "connect" if connection.sock is None else "write")
            return False
        self.busy[sock.fileno()] = connection
        return True

    def _ready(self, descriptor: int, connection: Connection) -> None:
        assert connection.sock is not None
        try:
            data = connection.sock.recv(READ)
        except OSError:
            data = b""
        framing = connection.framing
        if not framing.feed(data):
            if not data:
                del self.busy[descriptor]
                self._failed(connection, "read")
            return
        now = perf_counter_ns()
        self.samples.append(now - connection.due)
        if framing.status != 200:
            self.outcome.error("status")
        del self.busy[descriptor]
        connection.served += 1
        if connection.served == self.load.reuse or framing.closes:
            connection.close()
        self._release(connection, now)

    def _release(self, connection: Connection, now: int) -> None:
        connection.framing.reset()
        # First in, first out: a constant rate below saturation still uses every connection.
        self.idle.append(connection)
        self.arrivals.completed(now)

    def _failed(self, connection: Connection, kind: str) -> None:
        self.outcome.error(kind)
        connection.close()
        self._release(connection, perf_counter_ns())

    def _idle_closed(self, descriptor: int) -> None:
        # The server closed a connection between two requests: allowed, the next one reopens it.
        for connection in self.idle:
            if connection.sock is not None and connection.sock.fileno() == descriptor:
                connection.close()
                return

    def _drain(self, end: int) -> None:
        # What was sent before the end of an open loop counts with its whole latency.
        load = self.load
        while load.rate and self.busy and perf_counter_ns() < end:
            for descriptor, _ in self.poller.poll(0.01):
                if descriptor in self.busy:
                    self._ready(descriptor, self.busy[descriptor])
        if load.rate and self.busy:
            self.outcome.errors["timeout"] = len(self.busy)
        for connection in [*self.idle, *self.busy.values()]:
            connection.close()
        self.poller.close()


def exchange(port: int, request: bytes, timeout: float = 5.0) -> bytes:
    """Send one request on a connection of its own; return the bytes of the response.

    Raises ``OSError`` where there is no connection or no whole response in time.
    """
    framing = Framing()
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        sock.sendall(request)
        while not framing.feed(data := sock.recv(READ)):
            if not data:
                raise ConnectionResetError(f"closed after {bytes(received)!r:.80}")
            received += data
    return bytes(received + data)


def main() -> None:
    """Read a load as JSON from standard input, run it, write the outcome as JSON.

    Its messages are the path of a file.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, help="write the latencies here, 8 bytes each")
    arguments = parser.parse_args()
    given = json.load(sys.stdin)
    given["messages"] = load_requests(Path(given["messages"]))
    gc.disable()
    generator = Generator(Load(**given))
    outcome = generator.run()
    if arguments.samples:
        arguments.samples.write_bytes(generator.samples.tobytes())
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
