"""The service under test: its files, its processes, its log."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.deployment import ROOT
from benchmarks.endurance.clients import FILE, STATIC, Site
from benchmarks.processes import descriptors, living, private_bytes

if TYPE_CHECKING:
    import trustme

__all__ = ["NoService", "Sample", "Service"]

WORKERS: Final = 2
STEP: Final = 120.0
"""Seconds that the longest step of a service may take, on a busy machine."""

# Long where a client that does not get the processor for seconds would count as a slow one.
SETTINGS: Final = """\
app = "benchmarks.apps.enduring:app"
app-dir = "{root}"
workers = {workers}
port = 0
balance = "{balance}"
admin-bind = "127.0.0.1:0"
access-log-file = "{directory}/access.log"
log-format = "time"
cache = "4MiB"
limit-max-requests = 1000
timeout-drain-idle = "20s"
timeout-header = "60s"
ssl-handshake-timeout = "60s"
header = ["X-Turn: {turn}"]
{tls}
[static-routes]
"/health" = "{static}"
[static-dirs]
"/files" = "{directory}/files"
"""

LEFT_OUT: Final = ("KATANA_", "WEB_CONCURRENCY", "NOTIFY_SOCKET", "LISTEN_")


class NoService(Exception):
    """The service has ended, or does not do what it was told."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process has: bytes of memory of its own, and open descriptors."""

    role: str
    pid: int
    memory: int
    descriptors: int


class Service:
    """One service; ``authority`` makes it one with TLS."""

    def __init__(self, name: str, directory: Path, authority: trustme.CA | None) -> None:
        self.name = name
        self.directory = directory / name
        self.authority = authority
        self.supervisor = 0
        self.upgrades = 0
        self.turn = 0
        self.lines: list[str] = []  # of the log, so far
        self.rotated: list[Path] = []
        self.certificates: list[tuple[float, bytes]] = []
        self._read = 0
        self._config = self.directory / "katana.toml"
        self._log = self.directory / "server.log"

    async def start(self) -> Site:
        """Start it; returns where it is once all of its workers are ready."""
        (self.directory / "files").mkdir(parents=True)
        (self.directory / "files" / "file.bin").write_bytes(FILE)
        if self.authority is not None:
            self.renew_certificate()
        self.write_settings()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(LEFT_OUT)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "default", "-m", "katana_asgi", f"--config={self._config}"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.supervisor = self._process.pid
        found = await self.wait_for(r"Listening on https?://([\d.]+):(\d+)")
        for number in range(1, WORKERS + 1):
            await self.wait_for(rf"Worker {number} \[\d+\] is ready")
        site = Site(self.name, found[1], int(found[2]), certificates=self.certificates)
        if self.authority is not None:
            for alpn in ("http/1.1", "h2"):
                site.tls[alpn] = ssl.create_default_context()
                site.tls[alpn].set_alpn_protocols([alpn])
                self.authority.configure_trust(site.tls[alpn])
        return site

    def write_settings(self) -> None:
        """The settings file, other than the one before in a field of each response."""
        tls = f'ssl-certfile = "{self.directory}/site.pem"' if self.authority else ""
        text = SETTINGS.format(
            root=ROOT,
            workers=WORKERS,
            balance="off" if self.authority else "auto",
            directory=self.directory,
            turn=self.turn,
            tls=tls,
            static=STATIC.decode(),
        )
        self.turn += 1
        self._config.write_text(text)

    def renew_certificate(self) -> None:
        """Put a new certificate in the place of the one before, in one step."""
        assert self.authority is not None
        fresh = self.directory / "fresh.pem"
        issued = self.authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(fresh))
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        self.certificates.append((time.monotonic(), der))
        fresh.replace(self.directory / "site.pem")

    def rotate_logs(self) -> None:
        """Rename the access log and have it opened again."""
        path = self.directory / "access.log"
        self.rotated.append(path.with_name(f"access.log.{len(self.rotated)}"))
        path.rename(self.rotated[-1])
        self.signal(signal.SIGUSR1)

    def signal(self, number: signal.Signals) -> None:
        """Signal the supervisor that there is."""
        with suppress(ProcessLookupError):
            os.kill(self.supervisor, number)

    async def upgrade(self) -> None:
        """Have a new supervisor take over, and the old one end."""
        old, self.upgrades = self.supervisor, self.upgrades + 1
        self.signal(signal.SIGUSR2)
        ready = r"The new supervisor \[(\d+)\] is ready"
        self.supervisor = int((await self.wait_for(ready, self.upgrades))[1])
        await self.wait_for(rf"Stopped supervisor \[{old}\]")
        self._process.poll()  # waits for it where it was the first

    # -- what there is

    def read_log(self) -> list[str]:
        """The lines of the log so far."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        self.lines += whole.decode(errors="replace").splitlines()
        return self.lines

    def found(self, pattern: str) -> list[re.Match[str]]:
        """All matches in the lines of the log."""
        return [match for line in self.read_log() if (match := re.search(pattern, line))]

    async def wait_for(self, pattern: str, number: int = 1) -> re.Match[str]:
        """Wait until the log has ``number`` matches; returns the last. Raises ``NoService``."""
        deadline = time.monotonic() + STEP
        while len(matches := self.found(pattern)) < number:
            if time.monotonic() > deadline or not self.alive:
                last = "\n".join(self.lines[-30:])
                raise NoService(f"{self.name}: no {pattern!r} in the log:\n{last}")
            await asyncio.sleep(0.05)
        return matches[-1]

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs, the first or a later one."""
        self._process.poll()
        return living(self.supervisor)

    def workers(self) -> list[int]:
        """The workers that serve."""
        ready = [int(match[1]) for match in self.found(r"Worker \d+ \[(\d+)\] is ready")]
        return [pid for pid in ready if self._lives(pid)]

    def processes(self) -> dict[int, str]:
        """The processes that live, and what they are."""
        started = r"Started (supervisor|worker \d+|admin process) \[(\d+)\]"
        roles = {int(match[2]): match[1] for match in self.found(started)}
        return {pid: role for pid, role in roles.items() if self._lives(pid)}

    def _lives(self, pid: int) -> bool:
        """Whether a process lives and is of this service: its number may be another's by now."""
        try:
            return os.getsid(pid) == self._process.pid and living(pid)
        except ProcessLookupError:
            return False

    def samples(self) -> list[Sample]:
        """What each process has now."""
        samples = []
        for pid, role in self.processes().items():
            with suppress(OSError):
                samples.append(Sample(role, pid, private_bytes(pid), descriptors(pid)))
        return samples

    def admin_port(self) -> int:
        """The port of the admin listener, which is another after an upgrade."""
        return int(self.found(r"Admin listener on http://[\d.]+:(\d+)")[-1][1])

    def access_lines(self) -> list[bytes]:
        """All lines of the access log, those of rotated files first."""
        paths = [*self.rotated, self.directory / "access.log"]
        return b"".join(path.read_bytes() for path in paths if path.exists()).splitlines()

    async def stop(self) -> list[str]:
        """SIGTERM; returns what was not as it should be."""
        first = self._process.pid == self.supervisor
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + STEP
        while self.processes() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        faults = [f"{self.name}: {role} [{pid}] is left" for pid, role in self.processes().items()]
        self.kill()
        status = self._process.wait()
        if first and status:
            faults.append(f"{self.name}: exit status {status}")
        return faults

    def kill(self) -> None:
        """Leave nothing."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
