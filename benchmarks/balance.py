"""How evenly workers are loaded, and whether anything is lost when connections move.

``python -m benchmarks.balance even`` opens few connections with requests of 20 ms of processor
time each, several times over, without and with ``--balance auto``, and beside other servers that
are installed, and prints the spread of connections and the 50th and 99th percentile of the slowest
tries. ``python -m benchmarks.balance loss`` reloads a service again and again under clients that
send at random moments; a lost request, a wrong answer or an idle connection that was closed makes
the status 1. ``python -m benchmarks.balance cost`` compares the processor time of an accepted
connection.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.deployment import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

APPLICATION = """
import os, time

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = b"%d" % os.getpid()
    if scope["path"] == "/work":
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
    elif scope["path"].startswith("/echo/"):
        body = scope["path"].encode()
    head = {"type": "http.response.start", "status": 200,
            "headers": [(b"content-length", b"%d" % len(body))]}
    await send(head)
    await send({"type": "http.response.body", "body": body})
"""

SERVERS = {
    "off": "katana_asgi main:app --lifespan off --no-access-log --balance off",
    "auto": "katana_asgi main:app --lifespan off --no-access-log --balance auto",
    "uvicorn": "uvicorn main:app --lifespan off --no-access-log",
    "granian": "granian --interface asginl main:app",
}


@contextmanager
def serving(name: str, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that has answered, and its port."""
    port = free_port()
    words = [sys.executable, "-m", *SERVERS[name].split()]
    words += ["--port", str(port), "--workers", str(workers)]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "main.py").write_text(APPLICATION)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), directory))}
        with open(Path(directory, "log"), "wb") as log:
            process = subprocess.Popen(
                words, cwd=directory, env=environment, stdout=log, stderr=log
            )
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            time.sleep(2)  # the other workers; not all servers say when they are ready
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


class Client:
    """One connection that stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def open(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, target: str) -> tuple[bytes, str]:
        """Head and content of the response."""
        self.writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head, (await self.reader.readexactly(length)).decode()


async def one_try(port: int, connections: int, seconds: float) -> tuple[list[int], list[float]]:
    """The spread of fresh connections, and the times of their requests in milliseconds."""
    clients = [Client() for _ in range(connections)]
    pids = []
    for client in clients:
        await client.open(port)
        pids.append((await client.ask("/pid"))[1])
    times: list[float] = []
    end = time.monotonic() + seconds

    async def work(client: Client) -> None:
        while time.monotonic() < end:
            begin = time.perf_counter()
            await client.ask("/work")
            times.append((time.perf_counter() - begin) * 1e3)

    await asyncio.gather(*map(work, clients))
    for client in clients:
        client.writer.close()
    await asyncio.sleep(0.3)
    return sorted(Counter(pids).values()), times


def even(options: argparse.Namespace) -> int:
    for name in options.servers:
        with serving(name, options.workers) as (_, port):
            spreads, p50, p99 = [], [], []
            for _ in range(options.tries):
                counts, times = asyncio.run(one_try(port, options.connections, options.seconds))
                parts = statistics.quantiles(times, n=100)
                spreads.append("/".join(map(str, counts)))
                p50.append(parts[49])
                p99.append(parts[98])
        print(f"{name:8} worst p50 {max(p50):6.0f} ms, worst p99 {max(p99):6.0f} ms; {spreads}")
    return 0


async def user(port: int, number: int, stop: asyncio.Event, counts: Counter[str]) -> None:
    """Ask at random moments on a connection that should never be closed."""
    chance = random.Random(number)
    client = Client()
    await client.open(port)
    while not stop.is_set():
        target = f"/echo/{number}/{counts['asked']}"
        counts["asked"] += 1
        try:
            head, body = await client.ask(target)
            counts["wrong"] += body != target
            closed = b"connection: close" in head
            counts["told to close"] += closed
        except (OSError, asyncio.IncompleteReadError):
            counts["lost"] += 1
            closed = True
        if closed:
            await client.open(port)
        await asyncio.sleep(chance.random() * 0.02)
    client.writer.write_eof()  # the server closes, and what comes before is too much
    with suppress(OSError):
        counts["surplus bytes"] += len(await asyncio.wait_for(client.reader.read(), 10))


async def losses(process: subprocess.Popen[bytes], port: int, requests: int, reloads: int) -> bool:
    counts: Counter[str] = Counter()
    stop = asyncio.Event()
    idle = [Client() for _ in range(50)]
    for client in idle:
        await client.open(port)
        await client.ask("/pid")
    users = [asyncio.ensure_future(user(port, each, stop, counts)) for each in range(50)]
    done = 0
    while done < reloads or counts["asked"] < requests:
        if done < reloads:
            process.send_signal(signal.SIGHUP)
            done += 1
        await asyncio.sleep(2.5)
    stop.set()
    await asyncio.gather(*users)
    gone = sum(client.reader.at_eof() for client in idle)
    for client in idle:
        with suppress(OSError, asyncio.IncompleteReadError):
            await client.ask("/pid")
            counts["idle connections that live"] += 1
    print(dict(counts), f"{done} reloads, {gone} of {len(idle)} idle connections closed")
    return not (counts["lost"] or counts["wrong"] or counts["surplus bytes"] or gone)


def loss(options: argparse.Namespace) -> int:
    with serving("auto", options.workers) as (process, port):
        return not asyncio.run(losses(process, port, options.requests, options.reloads))


def processor_time(pid: int) -> float:
    """Seconds on a processor, in the precision of the scheduler (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def cost(options: argparse.Namespace) -> int:
    found: dict[str, list[float]] = {"off": [], "auto": []}
    with serving("off", options.workers) as off, serving("auto", options.workers) as auto:
        for number in range(2 * options.tries):
            name = ("off", "auto")[number % 2]
            process, port = off if name == "off" else auto
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            before = sum(processor_time(int(pid)) for pid in children)
            for _ in range(options.accepts):
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    while sock.recv(4096):
                        pass
            after = sum(processor_time(int(pid)) for pid in children)
            found[name].append((after - before) / options.accepts * 1e6)
    for name, times in found.items():
        shown = re.sub(r"'", "", str([f"{each:.1f}" for each in times]))
        print(f"{name:5} {statistics.median(times):6.1f} us of processor for each of {shown}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("even", "loss", "cost"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--servers", nargs="*", default=["off", "auto"], choices=list(SERVERS))
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--accepts", type=int, default=3000)
    options = parser.parse_args()
    return {"even": even, "loss": loss, "cost": cost}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
