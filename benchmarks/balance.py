"""How evenly workers are loaded, and whether anything is lost when connections move.

``python -m benchmarks.balance even`` opens few connections with requests that hold the worker's
event loop for 20 ms each, several times over and in turns, without and with ``--balance auto``,
and beside other servers that are installed. It prints how connections were placed and the 50th,
90th and 99th percentile. With ``--shares 12 4`` it does so also where the kernel has placed them
like that, with ``--hold sleep`` without a processor, which other programs may need.
``python -m benchmarks.balance simulate`` is the same without processes.

``python -m benchmarks.balance loss`` reloads a service again and again under clients that send at
random moments; a lost request, a wrong answer or an idle connection that was closed makes the
status 1. ``python -m benchmarks.balance cost`` compares the processor time of an accepted
connection, and with ``--kept`` of a request.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.deployment import free_port
from katana_asgi.balance.placement import choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parent.parent

WORK = 0.02  # seconds of processor time for a request

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
    elif scope["path"] == "/sleep":
        time.sleep(0.02)
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


async def opened(port: int, connections: int, shares: Sequence[int]) -> list[Client]:
    """Connections to as many workers as there are ``shares``, so many to each.

    Without shares they are ``connections``, wherever they were placed.
    """
    clients: list[Client] = []
    placed: Counter[str] = Counter()
    wanted = sum(shares) or connections
    for _ in range(100 * wanted):
        client = Client()
        await client.open(port)
        pid = (await client.ask("/pid"))[1]
        rank = list(placed).index(pid) if pid in placed else len(placed)
        if shares and placed[pid] >= shares[rank]:
            client.writer.close()  # this worker has its share
            continue
        placed[pid] += 1
        clients.append(client)
        if len(clients) == wanted:
            return clients
    raise SystemExit(f"the workers did not come to have {shares}: {placed}")


async def one_try(
    port: int, shares: Sequence[int], options: argparse.Namespace
) -> tuple[list[int], list[float]]:
    """The spread of fresh connections, and the times of their requests in milliseconds.

    Each client thinks before it asks again, so that all of them together ask for ``load`` of the
    workers' time, and one that waits does not ask: a closed loop.
    """
    clients = await opened(port, options.connections, shares)
    spread = Counter([(await client.ask("/pid"))[1] for client in clients])
    think = WORK * len(clients) / (options.load * options.workers) - WORK
    times: list[float] = []
    end = time.monotonic() + options.seconds

    async def work(client: Client, chance: random.Random) -> None:
        await asyncio.sleep(chance.random() * think)
        while time.monotonic() < end:
            begin = time.perf_counter()
            await client.ask(f"/{options.hold}")
            times.append((time.perf_counter() - begin) * 1e3)
            await asyncio.sleep(chance.expovariate(1 / think))

    await asyncio.gather(*(work(each, random.Random(n)) for n, each in enumerate(clients)))
    for client in clients:
        client.writer.close()
    await asyncio.sleep(0.3)
    return sorted(spread.values(), reverse=True), times


def even(options: argparse.Namespace) -> int:
    """Services in turns; those that share nothing also where the placement was uneven."""
    found: dict[str, list[float]] = {}
    spreads: dict[str, list[str]] = {}
    with ExitStack() as stack:
        services = [
            (name, shares, stack.enter_context(serving(name, options.workers))[1])
            for name in options.servers
            for shares in ((), *([options.shares] if name == "off" and options.shares else []))
        ]
        for _ in range(options.tries):
            for name, shares, port in services:
                counts, times = asyncio.run(one_try(port, shares, options))
                label = f"{name} {'/'.join(map(str, shares))}".strip()
                found.setdefault(label, []).extend(times)
                spreads.setdefault(label, []).append("/".join(map(str, counts)))
    for label, times in found.items():
        parts = statistics.quantiles(times, n=100)
        print(
            f"{label:10} p50 {parts[49]:5.0f} ms, p90 {parts[89]:5.0f} ms, p99 {parts[98]:5.0f} ms"
            f" of {len(times)} requests; placed {' '.join(spreads[label])}"
        )
    return 0


def simulated(loads: Sequence[int], load: float, chance: random.Random) -> list[float]:
    """Times of requests, in milliseconds, where each worker has so many connections.

    A worker does one request after another, and they take as long; clients think as above.
    """
    connections = sum(loads)
    think = WORK * connections / (load * len(loads)) - WORK
    times: list[float] = []
    for count in loads:
        free = 0.0
        asking = [chance.random() * think for _ in range(count)]
        heapify(asking)
        while asking and asking[0] < 20:
            begin = heappop(asking)
            free = max(free, begin) + WORK
            times.append((free - begin) * 1e3)
            heappush(asking, free + chance.expovariate(1 / think))
    return times


def simulate(options: argparse.Namespace) -> int:
    """Placement by chance, as of a hash, against what is decided at accept; no process."""
    for workers in (2, 4):
        chance = random.Random(17)
        found: dict[str, list[float]] = {"off": [], "off, uneven": [], "auto": []}
        spreads: dict[str, list[int]] = {label: [] for label in found}
        for _ in range(300):
            loads, even_loads = [0] * workers, [0] * workers
            for _ in range(options.connections):
                who = chance.randrange(workers)
                loads[who] += 1
                others = [each for each in range(workers) if each != who]
                chosen = choose(even_loads[who], [even_loads[each] for each in others])
                even_loads[who if chosen < 0 else others[chosen]] += 1
            for label, placed in (("off", loads), ("auto", even_loads)):
                times = simulated(placed, options.load, chance)
                uneven = max(placed) >= 1.5 * options.connections / workers
                for each in (label, *(["off, uneven"] if uneven and label == "off" else [])):
                    found[each] += times
                    spreads[each].append(max(placed) - min(placed))
        for label, times in found.items():
            parts = statistics.quantiles(times, n=100)
            print(
                f"{workers} workers, {label:11} p50 {parts[49]:4.0f} ms, p99 {parts[98]:4.0f} ms;"
                f" fullest - emptiest {statistics.mean(spreads[label]):.1f} on average,"
                f" {max(spreads[label])} at most, {len(spreads[label])} draws"
            )
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


def children(pid: int) -> list[int]:
    """The processes of a service without its supervisor (Linux)."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processor_time(pid: int) -> float:
    """Seconds on a processor, in the precision of the scheduler (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def connect_and_ask(port: int, times: int) -> None:
    """Requests on as many connections, one after another."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass


def keep_and_ask(port: int, times: int) -> None:
    """Requests on one connection."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(times):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            sock.recv(4096)


def cost(options: argparse.Namespace) -> int:
    """Services in turns, in short blocks: the lower decile is what undisturbed blocks took.

    The third one is ``off`` again, so that the noise can be seen.
    """
    ask = keep_and_ask if options.kept else connect_and_ask
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        services = [
            (label, *stack.enter_context(serving(name, options.workers)))
            for label, name in (("off", "off"), ("auto", "auto"), ("off again", "off"))
        ]
        for number in range(options.blocks):
            for label, process, port in (*services[number % 3 :], *services[: number % 3]):
                workers = children(process.pid)
                ask(port, options.block // 4)  # caches are cold after the other services
                before = sum(map(processor_time, workers))
                ask(port, options.block)
                spent = sum(map(processor_time, workers)) - before
                found.setdefault(label, []).append(spent / options.block * 1e6)
    base = statistics.quantiles(found["off"], n=10)
    for label, times in found.items():
        deciles = statistics.quantiles(times, n=10)
        print(
            f"{label:9} {deciles[0]:6.1f} us of processor (lower decile; median {deciles[4]:.1f}),"
            f" to off {deciles[0] / base[0]:.3f} ({deciles[4] / base[4]:.3f})"
        )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("even", "simulate", "loss", "cost"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--servers", nargs="*", default=["off", "auto"], choices=list(SERVERS))
    parser.add_argument("--load", type=float, default=0.5, help="of the workers' time")
    parser.add_argument("--hold", choices=("work", "sleep"), default="work")
    parser.add_argument("--shares", nargs="*", type=int, default=[], help="of connections")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=150)
    parser.add_argument("--block", type=int, default=40, help="requests in each")
    parser.add_argument("--kept", action="store_true", help="cost: on connections that are open")
    options = parser.parse_args()
    commands = {"even": even, "simulate": simulate, "loss": loss, "cost": cost}
    return commands[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
