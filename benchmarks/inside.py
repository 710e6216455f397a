"""katana-asgi without sockets: its own connections, fed from memory, writing into a list.

What remains is the server's work for a request, the same instructions in each run: the basis of
the micro-benchmarks and of the instruction counts. ``python -m benchmarks.inside proxied plain``
prints what a request of each kind costs, in seconds.

It knows of the server only what ``katana_asgi.testing`` shows.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from types import MappingProxyType
from typing import Any, cast

from benchmarks import http2
from benchmarks.apps.plain import GREETING, app
from benchmarks.messages import DIFFERENT, REQUESTS
from katana_asgi import Config, StaticRoute
from katana_asgi.testing import MemoryServer, MemoryTransport

__all__ = ["CASES", "Case", "Inside", "Sink", "measure_all", "serving"]

ADDRESSES = {"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)}
"""Of a proxy that is trusted without being named, and of the server."""
CONNECTIONS = 64
"""Connections that a case sends over: a turn of the loop has a read for each of them."""
BATCH = 20 * CONNECTIONS
LEAST = 5
"""Batches that are timed at least."""
USUAL = ("proxied", "plain", "varied", "api")
"""Cases that are measured where none is named."""


class Sink(MemoryTransport):
    """Does the least, because what is measured is the server: keeps each write as it is.

    Its end is called by who feeds it, and not by the loop.
    """

    def __init__(self) -> None:
        asyncio.Transport.__init__(self, ADDRESSES)  # without what a peer needs to misbehave
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep a write."""
        self.written.append(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Keep several buffers as one write."""
        self.written.append(b"".join(list_of_data))

    def close(self) -> None:
        """Note that the server closed."""
        self.closing = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    resume_reading = pause_reading


class _Loop(asyncio.SelectorEventLoop):
    """``skip`` lets its time pass, so that what waits for others in a batch waits no longer."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds


BATCH_WAIT = 0.2
"""Seconds after which a line of the access log waits no longer for others."""


class Inside:
    """A started server, and connections that are fed from memory."""

    def __init__(self, loop: _Loop, server: MemoryServer, log: Path) -> None:
        self.loop = loop
        self.server = server
        self.log = log
        """The file of the access log, empty where there is none."""

    def connect(self) -> Sink:
        """Return the transport of a new connection of the server."""
        sink = Sink()
        self.server.connect(sink)
        return sink

    def turn(self, function: Callable[[], None]) -> None:
        """Call a function as the loop calls a protocol, outside of any task, and end the turn."""

        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)
            self.loop.call_soon(self.loop.stop)

        failed: list[BaseException] = []
        self.loop.call_soon(run)
        self.loop.run_forever()
        if failed:
            raise failed[0]

    def flush(self) -> None:
        """Let what waits in a batch be written: lines of the access log."""
        self.loop.skip(BATCH_WAIT)
        self.turn(lambda: None)


@dataclass(frozen=True, slots=True)
class Case:
    """What connections are sent.

    ``request`` names one of ``REQUESTS``, of which each is a read that gets ``responses``.
    ``static`` asks for the static route instead; ``churn`` makes a connection for each request.
    ``http2`` sends them over HTTP/2, ``responses`` in each read.
    ``settings`` are what the server needs beside those of ``serving``.
    """

    name: str
    request: str
    responses: int = 1
    static: bool = False
    churn: bool = False
    http2: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def reads(self, first: int, count: int) -> list[bytes]:
        """Return so many reads; each new bytes, since those that were hashed know their hash."""
        if self.http2:
            return self._reads_of_frames(first, count)
        made, source = _made(self.request)
        numbers = [number % DIFFERENT for number in range(first, first + count)]
        made.extend(islice(source, max(max(numbers) + 1 - len(made), 0)))
        reads = (made[number] for number in numbers)
        if self.static:
            return [
                data.replace(b"GET / ", b"GET /static ").replace(b"GET /?", b"GET /static?")
                for data in reads
            ]
        return [bytes(bytearray(data)) for data in reads]

    def _reads_of_frames(self, first: int, count: int) -> list[bytes]:
        """The same over HTTP/2: the first reads of each connection begin it."""
        over_http1 = Case(self.name, self.request)
        requests = iter(over_http1.reads(first * self.responses, count * self.responses))
        clients = [http2.Frames() for _ in range(CONNECTIONS)]
        reads = []
        for number in range(count):
            client = clients[number % CONNECTIONS]
            frames = [client.request(each) for each in islice(requests, self.responses)]
            opening = http2.OPENING if number < CONNECTIONS else b""
            reads.append(opening + b"".join(frames))
        return reads

    def send(self, inside: Inside, first: int, count: int) -> list[Sink]:
        """Send requests; return the transports with what was answered."""
        return self.send_reads(inside, self.reads(first, count))

    def send_reads(self, inside: Inside, reads: Sequence[bytes]) -> list[Sink]:
        """Send what ``reads`` returned: in each turn of the loop one to each connection.

        So each response is a write of its own, as it is where clients wait for theirs.
        """
        connections: list[Sink] = []
        transports: list[Sink] = []

        def connect() -> None:
            connections[:] = [inside.connect() for _ in range(CONNECTIONS)]
            transports.extend(connections)

        def disconnect() -> None:
            for transport in connections:
                transport.protocol.connection_lost(None)

        def receive(data: Sequence[bytes]) -> None:
            for transport, read in zip(connections, data, strict=False):
                transport.protocol.data_received(read)

        inside.turn(connect)
        for first in range(0, len(reads), CONNECTIONS):
            if self.churn and first:
                inside.turn(disconnect)
                inside.turn(connect)
            inside.turn(partial(receive, reads[first : first + CONNECTIONS]))
        inside.turn(disconnect)
        if self.settings:
            inside.flush()
        return transports

    def check(self, transports: Sequence[Sink], count: int) -> None:
        """Raise ``AssertionError`` unless each of so many requests was answered with 200."""
        written = b"".join(data for each in transports for data in each.written)
        answered = written.count(GREETING if self.http2 else b"HTTP/1.1 200 OK\r\n")
        assert answered == count * self.responses, f"{self.name}: {written[:200]!r}"


@cache
def _made(name: str) -> tuple[list[bytes], Iterator[bytes]]:
    """Return the requests that were made so far, and what makes more."""
    return [], REQUESTS[name].stream()


def _logged(form: str) -> dict[str, Any]:
    return {"access_log": True, "access_log_format": form}


MEASURED = {"admin_bind": "127.0.0.1:9100"}
"""A server that counts for metrics; only the command would listen there."""

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("proxied", "proxied"),
        Case("plain", "plain"),
        Case("browser", "browser"),
        Case("varied", "varied"),
        Case("api", "api"),
        Case("churn", "closing", churn=True),
        Case("echo-1k", "echo-1k"),
        Case("echo-64k", "echo-64k"),
        Case("static", "plain", static=True),
        Case("static-proxied", "proxied-static", static=True),
        Case("static-pipelined", "pipelined", responses=16, static=True),
        Case("static-churn", "closing", static=True, churn=True),
        Case("logged-short", "proxied", settings=_logged("short")),
        Case("logged-combined", "proxied", settings=_logged("combined")),
        Case("logged-json", "proxied", settings=_logged("json")),
        Case("logged-static", "proxied-static", static=True, settings=_logged("short")),
        Case("identified", "proxied", settings={"request_id": "trust"}),
        Case("http2", "browsing", http2=True),
        Case("http2-8", "browsing", responses=8, http2=True),
        Case("measured", "proxied", settings=MEASURED),
        Case("measured-static", "proxied-static", static=True, settings=MEASURED),
    )
}


def serving(application: Any = app, **settings: Any) -> Iterator[Inside]:
    """Yield a started server once, then stop it; ``settings`` are those of ``Config``.

    Its access log, if it has one, goes to a file.
    """
    loop = _Loop()
    given = {"access_log": False, "loop": "asyncio", **settings}
    routes = (StaticRoute("/static", "Hello, World!"),)
    server = MemoryServer(cast("Any", application), static_route=routes, **given)
    with tempfile.NamedTemporaryFile(prefix="katana-access-") as file:
        if given["access_log"]:
            from katana_asgi.observe.logs import configure_logging

            for name in ("uvicorn", "uvicorn.access", "katana_asgi.error", "katana_asgi.access"):
                logging.getLogger(name).handlers.clear()
            configure_logging(Config(app="benchmarks:app", access_log_file=file.name))
        loop.run_until_complete(server.start())
        try:
            yield Inside(loop, server, Path(file.name))
        finally:
            loop.run_until_complete(server.close())
            loop.close()
            access = logging.getLogger("katana_asgi.access")
            access.handlers.clear()
            access.propagate = True


def microseconds(case: Case, inside: Inside, seconds: float = 1.0) -> tuple[float, float]:
    """Return the time of one request: the least and the median of batches."""
    numbers = count(step=BATCH)
    case.check(case.send(inside, next(numbers), BATCH), BATCH)
    took: list[float] = []
    gc.collect()
    end = perf_counter() + seconds
    while perf_counter() < end or len(took) < LEAST:
        reads = case.reads(next(numbers), BATCH)
        start = perf_counter()
        transports = case.send_reads(inside, reads)
        took.append((perf_counter() - start) / BATCH / case.responses * 1e6)
        case.check(transports, BATCH)
    return min(took), median(took)


def measure_all(
    names: Sequence[str] = (),
    seconds: float = 0.5,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Measure cases, by default all, and show each."""
    measured = []
    for case in [CASES[name] for name in names or CASES]:
        for inside in serving(**{**case.settings, **settings}):
            least, middle = microseconds(case, inside, seconds)
            print(f"  {case.name:<18}{least:>8.2f}{middle:>8.2f}", flush=True)
            measured.append({"name": case.name, "least": least, "median": middle})
    return measured


def main() -> int:
    """Print what requests cost; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inside", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(USUAL), help=", ".join(CASES))
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each case")
    parser.add_argument("--set", action="append", default=[], help="a setting, as http=h11")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in CASES]:
        print(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
        return 2
    given = dict(setting.split("=", 1) for setting in arguments.set)
    print("microseconds a request, in memory: the least and the median of batches")
    measure_all(arguments.names, arguments.seconds, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
