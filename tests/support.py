"""Real servers for the tests: ``ServerProcess`` runs the command line in a process of its own.

Servers in the test's own process and raw clients are those of ``katana_asgi.testing``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from katana_asgi.testing import HttpPeer, running
from tests.patience import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

HttpPeer.timeout = TIMEOUT

ROOT = Path(__file__).parent.parent

T = TypeVar("T")


async def within(awaitable: Awaitable[T], timeout: float = TIMEOUT) -> T:
    """Await something that must come; fails when it does not."""
    return await asyncio.wait_for(awaitable, timeout)


def unverified() -> ssl.SSLContext:
    """TLS for a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def talking(app: Any, **settings: Any) -> AsyncIterator[HttpPeer]:
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
