"""Requests without end while the service restarts again and again: how many are lost?

``python -m benchmarks.rolling --requests 100000 --every 1`` starts two workers, sends
requests over keep-alive connections, new connections, streams and WebSockets, sends SIGHUP
each second, now and then SIGUSR2 instead, and prints counts. Any failed request, reset or
connection that closes under a request is a loss; the status is 1 where there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent

ROUNDS = 2
"""Restarts that have to be complete, however fast the requests are."""

APPLICATION = """
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        parts = 20 if scope["path"] == "/stream" else 1
        for left in reversed(range(parts)):
            body = b"%d\\n" % os.getpid()
            await send({"type": "http.response.body", "body": body, "more_body": left > 0})
            if left:
                await asyncio.sleep(0.05)
"""

REQUEST = b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n"


class Lost(Exception):
    """A request that was not answered whole."""


class Load:
    """Clients of several kinds; ``counts`` says what became of their requests."""

    def __init__(self, host: str, port: int, trust: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self.trust = trust  # None: without TLS
        self.counts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.killed: set[int] = set()  # workers whose connections may fail
        self.excused: Counter[str] = Counter()
        self.last: dict[asyncio.StreamWriter, int] = {}  # the worker that served a connection
        self.workers: set[bytes] = set()
        self.stopping = False

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = None if self.trust is None else "localhost"
        return await asyncio.open_connection(
            self.host, self.port, ssl=self.trust, server_hostname=name
        )

    async def exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: bytes, more: bytes
    ) -> bool:
        """One request; whether the connection may be used again."""
        writer.write(REQUEST % (target, more))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise Lost(head.split(b"\r\n")[0].decode())
        if b"transfer-encoding: chunked" in head:
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            body = await reader.readexactly(int(length[1]))
        pids = re.findall(rb"^(\d{2,})$", body, re.MULTILINE)
        self.workers.update(pids)
        if pids:
            self.last[writer] = int(pids[-1])
        return b"connection: close" not in head

    async def client(self, kind: str, target: bytes, pause: float, *, keep: bool) -> None:
        """Send requests until told to stop."""
        more = b"" if keep else b"Connection: close\r\n"
        while not self.stopping:
            writer = None
            try:
                reader, writer = await self.open()
                while await self.exchange(reader, writer, target, more):
                    self.counts[kind] += 1
                    if self.stopping:
                        break
                    await asyncio.sleep(pause)
                else:
                    self.counts[kind] += 1
            except (OSError, EOFError, Lost) as error:
                killed = writer is not None and self.last.get(writer) in self.killed
                counts = self.excused if killed else self.losses
                counts[f"{kind}: {type(error).__name__} {error}"[:100]] += 1
            finally:
                if writer is not None:
                    self.last.pop(writer, None)
                    writer.close()

    async def socket(self) -> None:
        """Echo over a WebSocket; a close frame with 1012 is the announced end, all else a loss."""
        upgrade = (
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        while not self.stopping:
            writer = None
            try:
                reader, writer = await self.open()
                writer.write(REQUEST % (b"/ws", upgrade))
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 101"):
                    raise Lost(head.split(b"\r\n")[0].decode())
                while not self.stopping:
                    writer.write(b"\x81\x82\0\0\0\0hi")
                    frame = await reader.readexactly(2)
                    if frame[0] == 0x88:
                        code = int.from_bytes((await reader.readexactly(frame[1]))[:2], "big")
                        if code != 1012:
                            raise Lost(f"close {code}")
                        writer.write(b"\x88\x82\0\0\0\0\x03\xf4")
                        self.counts["websocket closed with 1012"] += 1
                        break
                    await reader.readexactly(frame[1])
                    self.counts["websocket message"] += 1
                    await asyncio.sleep(0.02)
            except (OSError, EOFError, Lost) as error:
                self.losses[f"websocket: {type(error).__name__} {error}"[:100]] += 1
            finally:
                if writer is not None:
                    writer.close()

    def clients(self) -> list[asyncio.Task[None]]:
        """Start all clients."""
        work = [self.client("keep-alive", b"/", 0.0, keep=True) for _ in range(8)]
        work += [self.client("keep-alive, slow", b"/", 0.7, keep=True) for _ in range(8)]
        work += [self.client("new connection", b"/", 0.0, keep=False) for _ in range(4)]
        work += [self.client("stream", b"/stream", 0.0, keep=True) for _ in range(4)]
        work += [self.socket() for _ in range(4)]
        return [asyncio.ensure_future(each) for each in work]

    @property
    def total(self) -> int:
        """Requests answered."""
        return sum(number for kind, number in self.counts.items() if "websocket" not in kind)


class Service:
    """A service in a process of its own, with its log in a file."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        (directory / "rolling_application.py").write_text(APPLICATION)
        self.log = directory / "server.log"
        with self.log.open("wb") as log:
            command = ["katana_asgi", "rolling_application:app", "--port", "0", "--no-access-log"]
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=log,
                start_new_session=True,
            )
        self.supervisor = self.process.pid
        self.upgrades = 0

    def signal(self, number: signal.Signals) -> None:
        """Signal the supervisor that there is, which after an upgrade is another."""
        with suppress(ProcessLookupError):
            os.kill(self.supervisor, number)

    async def upgrade(self) -> None:
        """Have a new supervisor take over, and the old one end."""
        old, self.upgrades = self.supervisor, self.upgrades + 1
        self.signal(signal.SIGUSR2)
        found = await self.wait_for(r"The new supervisor \[(\d+)\] is ready", self.upgrades)
        self.supervisor = int(found[1])
        await self.wait_for(rf"Stopped supervisor \[{old}\]")

    @property
    def alive(self) -> bool:
        """Whether the service runs, under its first supervisor or a later one."""
        if self.upgrades == 0:
            return self.process.poll() is None
        self.process.poll()  # waits for it
        try:
            os.kill(self.supervisor, 0)
        except ProcessLookupError:
            return False
        return True

    def count(self, pattern: str) -> int:
        """How many lines of the log match."""
        return len(re.findall(pattern, self.log.read_text(), re.MULTILINE))

    async def wait_for(self, pattern: str, number: int = 1) -> re.Match[str]:
        """Wait until the log has ``number`` matches; returns the last."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.alive:
            matches = list(re.finditer(pattern, self.log.read_text(), re.MULTILINE))
            if len(matches) >= number:
                return matches[-1]
            await asyncio.sleep(0.05)
        raise SystemExit(f"no {pattern!r} in the log:\n{self.log.read_text()[-3000:]}")

    async def stop(self) -> int:
        """SIGTERM; returns the exit status of the first supervisor."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


async def measure(
    requests: int, every: float, directory: Path, *arguments: str, upgrades: int = 0
) -> Load:
    """Send ``requests`` requests while the service restarts; prints and returns the counts.

    After each ``upgrades`` restarts, where that is not 0, there is a new supervisor.
    """
    service = Service(directory, *(arguments or ("--workers", "2")))
    begin = time.monotonic()
    try:
        url = await service.wait_for(r"Listening on http://([\d.]+):(\d+)")
        load = Load(url[1], int(url[2]))
        clients = load.clients()
        restarts = 0
        while load.total < requests:
            restarts += 1
            if upgrades and restarts % upgrades == 0:
                await service.upgrade()
            else:
                service.signal(signal.SIGHUP)
            await asyncio.sleep(every)
            if not service.alive:
                raise SystemExit(service.log.read_text()[-3000:])
        # A restart begins again with each signal: where workers start slowly it needs this peace.
        while (complete := service.count("Reloaded: all")) < ROUNDS:
            service.signal(signal.SIGHUP)
            await service.wait_for("Reloaded: all", complete + 1)
        load.stopping = True
        await asyncio.wait(clients)
    finally:
        await service.stop()
    seconds = time.monotonic() - begin
    print(f"{load.total} requests in {seconds:.0f} s over {len(load.workers)} workers")
    print(f"{service.count('^INFO: +Received SIGHUP')} reloads, {service.upgrades} new supervisors")
    for kind, number in sorted(load.counts.items()):
        print(f"  {kind}: {number}")
    print(f"lost: {sum(load.losses.values())}")
    for kind, number in load.losses.most_common():
        print(f"  {kind}: {number}")
    return load


def main() -> int:
    """Run from the command line."""
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between reloads")
    parser.add_argument("--upgrades", type=int, default=10, help="of so many restarts, one is one")
    options = parser.parse_args()
    with TemporaryDirectory() as directory:
        load = asyncio.run(
            measure(options.requests, options.every, Path(directory), upgrades=options.upgrades)
        )
    return 1 if load.losses else 0


if __name__ == "__main__":
    sys.exit(main())
