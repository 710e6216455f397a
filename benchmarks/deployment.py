"""A running server: started pinned, checked for correct answers, stopped with all its children.

A server that answers wrongly is fast at the wrong thing; it is checked before it is measured.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import http2
from benchmarks.loadgen import exchange
from benchmarks.messages import Request
from benchmarks.processes import Usage, descendants, usage
from benchmarks.responses import fields_of
from benchmarks.servers import ROOT, Options, Server

__all__ = ["ROOT", "Deployment", "NotServing", "Settings", "app_missing", "free_port", "pinned"]

STARTUP = 30.0
"""Seconds a server may take until it answers."""
STOP = 10.0
FOREIGN = ("KATANA_", "UVICORN_", "GRANIAN_", "GUNICORN_", "WEB_CONCURRENCY")


class NotServing(Exception):
    """A server did not start, or did not answer as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What tells one deployment of a server from another."""

    app: str = "plain"
    workers: int = 1
    access_log: bool = False
    http2: bool = False
    cores: str = ""
    """Cores that the server may run on, as taskset writes them; empty for all."""


def pinned(command: list[str], cores: str) -> list[str]:
    """Return the command bound to cores, where they are given and taskset is installed."""
    if cores and shutil.which("taskset"):
        return ["taskset", "-c", cores, *command]
    return command


class Deployment:
    """One server process tree; use as a context manager.

    Raises ``NotServing`` where the server does not come up.
    """

    def __init__(self, server: Server, settings: Settings) -> None:
        self.server = server
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="katana-benchmark-"))
        # nginx drops privileges: its worker must reach its directories.
        self.directory.chmod(0o755)
        self.port = free_port()
        self.log = self.directory / "output.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Deployment:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process that was started: the root of the tree."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = Options(
            app=f"benchmarks.apps.{_module_of(self.settings.app)}:app",
            port=self.port,
            workers=self.settings.workers,
            access_log=self.settings.access_log,
            directory=self.directory,
            http2=self.settings.http2,
        )
        command = pinned(self.server.command(options), self.settings.cores)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + STARTUP
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotServing(f"ended at start: {self.last_words()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise NotServing(f"does not listen after {STARTUP:.0f} s: {self.last_words()}")

    def check(self, request: Request) -> tuple[int, list[str]]:
        """Send one request and compare the answer; return its length and its field names.

        Raises ``NotServing`` for a wrong status or content.
        """
        over = http2.exchange if self.settings.http2 else exchange
        try:
            answer = over(self.port, request.first(), 10.0)
        except (OSError, ValueError) as error:
            raise NotServing(f"no response: {error or type(error).__name__}") from error
        head, _, content = answer.partition(b"\r\n\r\n")
        status = head[9:12]
        if status != str(request.status).encode():
            raise NotServing(f"answered {status.decode('latin-1')}, not {request.status}")
        if not self._content_matches(head, content, request):
            raise NotServing(f"wrong content: {len(content)} bytes {content[:40]!r}")
        return len(head) + 4, sorted(name.decode("latin-1") for name in fields_of(head))

    def _content_matches(self, head: bytes, content: bytes, request: Request) -> bool:
        if b"chunked" in fields_of(head).get(b"transfer-encoding", b""):
            return request.content is None or request.content[:64] in content
        if request.content is None:
            return len(content) == request.length
        # A read may carry several responses where the request is a pipeline.
        return content.startswith(request.content) and content.endswith(request.content)

    def usage(self) -> Usage:
        """Return what the server has used so far."""
        return usage(self.pid)

    def log_lines(self) -> int:
        """Return how many lines the server has written: its access log, if it has one."""
        with self.log.open("rb") as lines:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 20), b""))

    def ending(self) -> str:
        """Return how the process ended by itself, or nothing while it runs."""
        status = self.process.poll() if self.process is not None else None
        if status is None:
            return ""
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"the server ended with {how}: {self.last_words()}"

    def last_words(self) -> str:
        """Return the last line that the server wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it wrote nothing"

    def stop(self) -> None:
        """Ask the server to end, then end what is left of its tree, and remove its directory."""
        if self.process is not None:
            members, session = descendants(self.process.pid), self.process.pid
            self.process.terminate()
            try:
                self.process.wait(STOP)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for member in members:
                with suppress(ProcessLookupError):
                    if os.getsid(member) == session:
                        os.kill(member, signal.SIGKILL)
            self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)


def app_missing(app: str) -> str | None:
    """Return why an application cannot be served here, or ``None``."""
    if app != "plain" and importlib.util.find_spec(app) is None:
        return f"the package {app} is not installed"
    return None


def _module_of(app: str) -> str:
    return app if app == "plain" else f"{app}_app"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
