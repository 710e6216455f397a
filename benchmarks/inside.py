"""katana-asgi without sockets: its own connections, fed from memory, writing into a list.

What remains is the server's work for a request, the same instructions in each run: the basis of
the micro-benchmarks and of the instruction counts.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from benchmarks.apps.plain import app
from benchmarks.messages import REQUESTS
from katana_asgi import Config, Server, StaticRoute
from katana_asgi.observe.logs import configure_logging

__all__ = ["CASES", "Case", "Inside", "MemoryTransport", "serving"]

PEER = ("127.0.0.1", 50000)


class MemoryTransport(asyncio.Transport):
    """Counts what is written; a peer that reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": PEER, "sockname": ("127.0.0.1", 8000), "socket": None})
        self.written: list[bytes] = []
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep a write."""
        self.written.append(data)  # type: ignore[arg-type] # kept for counting only

    def writelines(self, list_of_data: Any) -> None:
        """Keep several buffers as one write."""
        self.written.append(b"".join(list_of_data))

    def close(self) -> None:
        """Note that the server closed."""
        self.ended = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        """Whether the server closed."""
        return self.ended

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def pause_reading(self) -> None:
        """Nothing more comes unasked."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits."""
        return 0


class _Loop(asyncio.SelectorEventLoop):
    """A loop that remembers how the server makes connections; it never accepts one."""

    factory: Callable[[], asyncio.Protocol]

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        self.factory = protocol_factory
        return await super().create_server(protocol_factory, *args, **kwargs)


class Inside:
    """A started server; ``exchange`` sends reads to one connection within a loop callback."""

    def __init__(self, loop: _Loop, server: Server) -> None:
        self.loop = loop
        self._server = server

    def flush_log(self) -> None:
        """Write the lines of the access log that wait for others."""
        access = self._server._context.access
        if access is not None:
            access.flush()

    def connect(self) -> tuple[asyncio.Protocol, MemoryTransport]:
        """Return a new connection of the server and its transport."""
        transport = MemoryTransport()
        protocol = self.loop.factory()
        protocol.connection_made(transport)
        return protocol, transport

    def call(self, function: Callable[[], None]) -> None:
        """Call a function as the loop calls a protocol: outside of any task."""

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


@dataclass(frozen=True, slots=True)
class Case:
    """What one connection, or one connection for each request, is sent.

    ``reads`` makes the reads of one request from its number; ``responses`` is how many responses
    they get. ``settings`` are what the server needs beside those of ``serving``.
    """

    name: str
    reads: Callable[[int], tuple[bytes, ...]]
    responses: int = 1
    churn: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def send(self, inside: Inside, first: int, count: int) -> list[MemoryTransport]:
        """Send requests; return the transports with what was answered."""
        reads = [self.reads(number) for number in range(first, first + count)]
        transports: list[MemoryTransport] = []
        inside.call(lambda: self._send(inside, reads, transports))
        if self.settings:
            inside.flush_log()
        return transports

    def check(self, transports: list[MemoryTransport], count: int) -> None:
        """Raise ``AssertionError`` unless each of so many requests was answered with 200."""
        written = b"".join(data for each in transports for data in each.written)
        answered = written.count(b"HTTP/1.1 200 OK\r\n")
        assert answered == count * self.responses, f"{self.name}: {written[:200]!r}"

    def _send(
        self,
        inside: Inside,
        reads: list[tuple[bytes, ...]],
        transports: list[MemoryTransport],
    ) -> None:
        protocol, transport = inside.connect()
        transports.append(transport)
        for number, request in enumerate(reads):
            if self.churn and number:
                protocol.connection_lost(None)
                protocol, transport = inside.connect()
                transports.append(transport)
            for data in request:
                protocol.data_received(data)
        # After the responses that leave at the end of this turn.
        inside.loop.call_soon(protocol.connection_lost, None)


def _halves(data: bytes) -> tuple[bytes, bytes]:
    """Return two parts to join anew for each read: a string that was hashed remembers its hash."""
    return data[:16], data[16:]


def _same(name: str) -> Callable[[int], tuple[bytes, ...]]:
    first, rest = _halves(REQUESTS[name].template)
    return lambda number: (first + rest,)


def _numbered(name: str) -> Callable[[int], tuple[bytes, ...]]:
    template = REQUESTS[name].template
    return lambda number: (template.replace(b"{n}", str(1_000_000 + number).encode()),)


def _static(template: bytes) -> Callable[[int], tuple[bytes, ...]]:
    first, rest = _halves(template.replace(b"GET / ", b"GET /static "))
    return lambda number: (first + rest,)


def _logged(form: str) -> dict[str, Any]:
    return {"access_log": True, "access_log_format": form}


MEASURED = {"admin_bind": "127.0.0.1:9100"}
"""A server that counts for metrics; only the command would listen there."""

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("static", _static(REQUESTS["minimal"].template)),
        Case("static-pipelined", _static(REQUESTS["pipelined"].template), responses=16),
        Case("minimal", _same("minimal")),
        Case("browser", _same("browser")),
        Case("varied", _numbered("varied")),
        Case("echo-1k", _same("echo-1k")),
        Case("echo-64k", _same("echo-64k")),
        Case("churn", _same("closing"), churn=True),
        Case("static-churn", _static(REQUESTS["closing"].template), churn=True),
        Case("logged-short", _same("minimal"), settings=_logged("short")),
        Case("logged-combined", _same("minimal"), settings=_logged("combined")),
        Case("logged-json", _same("minimal"), settings=_logged("json")),
        Case("logged-static", _static(REQUESTS["minimal"].template), settings=_logged("short")),
        Case("logged-varied", _numbered("varied"), settings=_logged("combined")),
        Case("minimal-measured", _same("minimal"), settings=MEASURED),
        Case("static-measured", _static(REQUESTS["minimal"].template), settings=MEASURED),
    )
}


def serving(**settings: Any) -> Iterator[Inside]:
    """Yield a started server once, then stop it; ``settings`` are those of ``Config``.

    Its access log, if it has one, goes to a file.
    """
    loop = _Loop()
    given = {"port": 0, "access_log": False, "loop": "asyncio", **settings}
    server = Server(
        cast("Any", app), static_route=(StaticRoute("/static", "Hello, World!"),), **given
    )
    with tempfile.NamedTemporaryFile(prefix="katana-access-") as file:
        if given["access_log"]:
            configure_logging(Config(app="benchmarks:app", access_log_file=file.name))
        _until(loop, server.start())
        try:
            yield Inside(loop, server)
        finally:
            _until(loop, server.close())
            loop.close()
            logging.getLogger("katana_asgi.access").handlers.clear()


def _until(loop: asyncio.AbstractEventLoop, work: Awaitable[None]) -> None:
    loop.run_until_complete(work)
