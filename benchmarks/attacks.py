"""A well-behaved client beside many bad ones: what becomes of its answers and of the memory.

``python -m benchmarks.attacks [--seconds 15] [--only slow-head,idle] [--server katana,uvicorn]``

The good client asks at a fixed rate over a few connections; an answer's time counts from when
the request was due. Each attack stands between two turns without one, and its 99th percentile
is compared with the mean of theirs. Crowd and clients share the machine with the server, so
there is a third figure: the same crowd attacks another server meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.apps.plain import GREETING
from benchmarks.deployment import ROOT, free_port
from benchmarks.distribution import percentile
from benchmarks.processes import descendants, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "benchmarks.apps.plain:app"
RATE = 300
"""Requests of the good client in a second."""

CONNECTIONS = 8
SETTLING = 12.0
"""Seconds an attack has before anything is measured: it opens a thousand connections a second,
and after the shortest timeouts both sides are in full swing."""

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: good\r\n\r\n"

SIZES = {
    "idle": 9000,
    "slow-head": 2000,
    "slow-head-bytes": 500,
    "slow-body": 2000,
    "slow-chunks": 2000,
    "slow-read": 300,
    "reset": 30,
    "nonsense": 100,
}

SERVERS = {
    "katana": ["katana_asgi", APP, "--no-access-log"],
    "uvicorn": ["uvicorn", APP, "--no-access-log", "--log-level=critical"],
}


@dataclass
class Answers:
    """Times of answers in seconds, and what went wrong."""

    times: list[float] = field(default_factory=list)
    wrong: int = 0


class Good(asyncio.Protocol):
    """One connection of the good client; one request at a time."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.due = 0.0
        self.received = b""
        self.alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.alive = True

    def ask(self, due: float) -> None:
        """Send the request that was due then, unless one is still unanswered."""
        if self.due:
            return
        self.due = due
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(GREETING):
            self.answers.times.append(time.monotonic() - self.due)
            self.answers.wrong += not self.received.startswith(b"HTTP/1.1 200 OK\r\n")
            self.received, self.due = b"", 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self.answers.wrong += bool(self.due)


async def behave(port: int, seconds: float) -> Answers:
    """Ask at a fixed rate; a connection that the server ends is opened again."""
    loop = asyncio.get_running_loop()
    answers = Answers()
    goods: list[Good] = []
    begin = time.monotonic()
    for number in range(int(RATE * seconds)):
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        place = number % CONNECTIONS
        if place >= len(goods) or not goods[place].alive:
            _, good = await loop.create_connection(lambda: Good(answers), "127.0.0.1", port)
            goods[place : place + 1] = [good]
        if goods[place].due:
            continue  # still waits: its time goes on
        goods[place].ask(due)
    await asyncio.sleep(0.2)
    for good in goods:
        if good.due:
            answers.times.append(time.monotonic() - good.due)
        good.due = 0.0
        good.transport.close()
    return answers


@contextmanager
def serving(name: str, extra: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server process on a free port, killed at the end."""
    port = free_port()
    command = [sys.executable, "-m", *SERVERS[name], f"--port={port}", *extra]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield process, port
        finally:
            process.kill()


@contextmanager
def attacked(sizes: dict[str, int], port: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """Crowds of attackers of these kinds in a process of their own."""
    words = ",".join(f"{kind}:{size}" for kind, size in sizes.items())
    command = [sys.executable, "-m", "benchmarks.attackers", words, str(port), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def milliseconds(answers: Answers, percent: float) -> float:
    """A percentile of the times."""
    return percentile(sorted(answers.times), percent) * 1000


def elsewhere(name: str, kind: str, port: int, seconds: float, extra: list[str]) -> Answers:
    """What the good client sees while the crowd keeps another server busy."""
    with (
        serving(name, extra) as (_, other),
        attacked({kind: SIZES[kind]}, other, SETTLING + seconds + 1),
    ):
        time.sleep(SETTLING)
        return asyncio.run(behave(port, seconds))


def measure(name: str, kind: str, seconds: float, extra: list[str]) -> dict[str, Any]:
    """One attack between two turns without one, on a server of its own."""
    with serving(name, extra) as (process, port):
        beside = elsewhere(name, kind, port, seconds, extra)
        before = asyncio.run(behave(port, seconds))
        memory = usage(process.pid).resident_bytes
        with attacked({kind: SIZES[kind]}, port, SETTLING + seconds + 1) as crowd:
            time.sleep(SETTLING)
            cpu = usage(process.pid).cpu_seconds
            during = asyncio.run(behave(port, seconds))
            used = usage(process.pid)
            output, _ = crowd.communicate()
        after = asyncio.run(behave(port, seconds))
        alive = process.poll() is None and len(descendants(process.pid)) >= 1
    calm = (milliseconds(before, 99) + milliseconds(after, 99)) / 2
    return {
        "server": name,
        "attack": kind,
        "connections": SIZES[kind],
        "calm_p99_ms": calm,
        "beside_p99_ms": milliseconds(beside, 99),
        "p50_ms": milliseconds(during, 50),
        "p99_ms": milliseconds(during, 99),
        "ratio": milliseconds(during, 99) / calm,
        "wrong": during.wrong,
        "answers": len(during.times),
        "cpu": (used.cpu_seconds - cpu) / seconds,
        "memory_mb": (used.resident_bytes - memory) / 2**20,
        "alive": alive,
        "crowd": json.loads(output)[kind],
    }


COLUMNS = (
    "| attack | connections | p99 without | p99, another attacked | p50 | p99 | ratio | wrong | "
    "CPU | memory | ended by the server, answers |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


def row(figures: dict[str, Any]) -> str:
    """A line of the table."""
    crowd = figures["crowd"]
    statuses = ", ".join(
        f"{status}: {count}" for status, count in sorted(crowd["statuses"].items())
    )
    return (
        f"| {figures['attack']} | {crowd['most_at_once']} | {figures['calm_p99_ms']:.1f} ms "
        f"| {figures['beside_p99_ms']:.1f} ms | {figures['p50_ms']:.1f} ms "
        f"| {figures['p99_ms']:.1f} ms | {figures['ratio']:.1f} "
        f"| {figures['wrong']} | {figures['cpu']:.0%} | {figures['memory_mb']:+.0f} MB "
        f"| {crowd['ended_by_server']} ({statuses or 'silent'}) |"
    )


def main() -> None:
    """Measure what was asked for and print a table for each server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", default=",".join(SIZES))
    parser.add_argument("--server", default="katana")
    parser.add_argument("extra", nargs="*", help="further options of the server, after --")
    arguments = parser.parse_args()
    for name in arguments.server.split(","):
        print(f"\n{name}\n\n{COLUMNS}", flush=True)
        for kind in arguments.only.split(","):
            print(row(measure(name, kind, arguments.seconds, arguments.extra)), flush=True)


if __name__ == "__main__":
    main()
