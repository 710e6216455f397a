"""Real servers and raw clients for the tests: nothing here is faked.

``running`` serves an application in the test's own event loop, ``ServerProcess`` runs the
command line in a process of its own, ``Connection`` speaks HTTP/1.1 byte by byte.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from katana_asgi import Server
from tests.patience import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

ROOT = Path(__file__).parent.parent

T = TypeVar("T")


async def within(awaitable: Awaitable[T], timeout: float = TIMEOUT) -> T:
    """Await something that must come; fails when it does not."""
    return await asyncio.wait_for(awaitable, timeout)


class Response(NamedTuple):
    """One response off the wire."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    head: bytes

    def header(self, name: bytes) -> bytes | None:
        """The only value of a field; fails when there are two."""
        values = self.headers_named(name)
        assert len(values) <= 1, values
        return values[0] if values else None

    def headers_named(self, name: bytes) -> list[bytes]:
        """All values of a field."""
        return [value for key, value in self.headers if key == name]


class Connection:
    """A raw client connection that checks the framing of what it reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port, limit=2**26))

    @classmethod
    async def open_unix(cls, path: str) -> Self:
        return cls(*await asyncio.open_unix_connection(path, limit=2**26))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await asyncio.wait_for(self.writer.wait_closed(), TIMEOUT)

    async def send(self, *chunks: bytes) -> None:
        """Send each chunk in a write of its own."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            await asyncio.sleep(0)

    def half_close(self) -> None:
        """End our sending side only."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Vanish with a reset, as a crashed client does."""
        # Without lingering, closing sends RST rather than FIN.
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def head(self) -> Response:
        """Read one head (of an informational response, or where no content follows)."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TIMEOUT)
        lines = data[:-4].split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 ([0-9]{3}) ([^\r\n]*)", lines[0])
        assert match is not None, lines[0]
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            assert colon
            assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), line
            headers.append((name.lower(), value.strip()))
        return Response(int(match[1]), match[2], headers, b"", data)

    async def response(self, method: str = "GET") -> Response:
        """Read one whole response, by its own framing."""
        head = await self.head()
        lengths = head.headers_named(b"content-length")
        codings = head.headers_named(b"transfer-encoding")
        assert not (lengths and codings), head.head
        assert len(lengths) <= 1
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            assert not codings
            return head
        if codings:
            assert codings == [b"chunked"]
            return head._replace(body=await self._chunked())
        if lengths:
            body = await asyncio.wait_for(self.reader.readexactly(int(lengths[0])), TIMEOUT)
            return head._replace(body=body)
        return head._replace(body=await self.rest())

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), TIMEOUT)
            size = int(line[:-2], 16)
            chunk = await asyncio.wait_for(self.reader.readexactly(size + 2), TIMEOUT)
            assert chunk[-2:] == b"\r\n"
            if not size:
                return body
            body += chunk[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes; fails when it does not."""
        return await asyncio.wait_for(self.reader.read(-1), TIMEOUT)

    async def closed(self) -> bool:
        """Whether the server closes without another byte (it must do one or the other)."""
        try:
            return await asyncio.wait_for(self.reader.read(1), TIMEOUT) == b""
        except ConnectionResetError:
            return True


class Running(NamedTuple):
    """A server in this event loop."""

    server: Server
    host: str
    port: int

    async def connect(self) -> Connection:
        return await Connection.open(self.host, self.port)

    async def exchange(self, *chunks: bytes, method: str = "GET") -> Response:
        """Send a request on a connection of its own and read its response."""
        async with await self.connect() as connection:
            await connection.send(*chunks)
            return await connection.response(method)


@asynccontextmanager
async def running(app: Any, **settings: Any) -> AsyncIterator[Running]:
    """Serve ``app`` in the running event loop on a free port."""
    settings = {"port": 0, "access_log": False, "timeout_graceful_shutdown": 2.0, **settings}
    async with Server(app, **settings) as server:
        address = server.addresses[0]
        host, port = address if isinstance(address, tuple) else (address, 0)
        yield Running(server, host, port)


@asynccontextmanager
async def talking(app: Any, **settings: Any) -> AsyncIterator[Connection]:
    """A client's connection to a server of its own that serves ``app`` without lifespan."""
    settings = {"lifespan": "off", **settings}
    async with running(app, **settings) as server, await server.connect() as connection:
        yield connection


class Output:
    """What a process writes into one pipe, gathered by a thread, so that no pipe runs full."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self._next = 0  # the first line that nobody has waited for
        self._thread = threading.Thread(target=self._gather, daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        for line in self._pipe:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """Everything so far."""
        return "".join(self._lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches, behind the last one waited for."""
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while True:
                while self._next < len(self._lines):
                    match = re.search(pattern, self._lines[self._next])
                    self._next += 1
                    if match is not None:
                        return match
                assert not self._ended, f"ended without {pattern!r}:\n{self.text}"
                in_time = self._changed.wait(deadline - time.monotonic())
                assert in_time, f"no {pattern!r} in time:\n{self.text}"

    def finish(self) -> None:
        """Wait for the end of file: until the last process that has the pipe is gone."""
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), f"somebody still has the pipe:\n{self.text}"
        self._pipe.close()


LEAKED = re.compile(
    "ResourceWarning|was never awaited|Exception ignored in|was never retrieved|was destroyed but"
)
"""What Python writes of what a process has left open or unseen, in whichever of its processes."""


class ServerProcess:
    """``python -m katana_asgi ARGUMENTS`` in a process of its own, on a free port."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path | str | None = None,
        env: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "katana_asgi"),
        port: bool = True,
        pass_fds: Sequence[int] = (),
    ) -> None:
        # Lines without the time, wherever the tests run. Without compiled files of applications:
        # two versions of one size within a second would look the same.
        ours = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "KATANA_LOG_FORMAT": "text",
            "PYTHONWARNINGS": "default::ResourceWarning",
        }
        environment = {**os.environ, **ours, **(env or {})}
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(ROOT), environment.get("PYTHONPATH")))
        )
        self.process = subprocess.Popen(
            [*command, *arguments, *(("--port", "0") if port else ())],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            start_new_session=True,  # one group, with its workers: to be signalled or killed whole
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._output = Output(self.process.stdout)
        self._errors = Output(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.finish()

    @property
    def stdout(self) -> str:
        """Standard output so far, all of it after ``finish``."""
        return self._output.text

    @property
    def stderr(self) -> str:
        """Standard error so far, all of it after ``finish``."""
        return self._errors.text

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line of standard error; fails when the process ends before."""
        return self._errors.wait_for(pattern)

    def wait_listening(self) -> str:
        """Wait until the server accepts; returns its base URL."""
        return self.wait_for(r"Listening on (https?://\S+|unix:\S+)")[1]

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Signal the process, or as a terminal does its whole group."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def finish(self) -> int:
        """Wait until the process and its workers have ended; returns the exit status.

        Fails when one of them has leaked a descriptor, a coroutine or an exception.
        """
        status = self.process.wait(3 * TIMEOUT)
        self._output.finish()
        self._errors.finish()
        leaked = LEAKED.search(self.stderr)
        assert leaked is None, f"{leaked and leaked[0]!r} in\n{self.stderr}"
        return status

    def stop(self) -> int:
        """SIGTERM, then ``finish``."""
        self.signal(signal.SIGTERM)
        return self.finish()


ACTIVATE = """
import json, os, sys
numbers = json.loads(sys.argv[1])
for target, source in enumerate(numbers, 100):
    os.dup2(source, target, inheritable=False)
for number in range(len(numbers)):
    os.dup2(100 + number, 3 + number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)),
                  LISTEN_FDNAMES=sys.argv[2])
os.execvp(sys.argv[3], sys.argv[3:])
"""


def activated(
    sockets: Sequence[tuple[str, socket.socket]], *arguments: str, **options: Any
) -> ServerProcess:
    """A server that is started with descriptors from 3 on, each with its name, as systemd does."""
    for _, sock in sockets:
        sock.set_inheritable(True)
    numbers = [sock.fileno() for _, sock in sockets]
    names = ":".join(name for name, _ in sockets)
    own = options.pop("command", (sys.executable, "-m", "katana_asgi"))
    command = (sys.executable, "-c", ACTIVATE, json.dumps(numbers), names, *own)
    return ServerProcess(*arguments, command=command, port=False, pass_fds=numbers, **options)
