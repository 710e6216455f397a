"""A well-behaved client beside attacks over HTTP/2: its answers, the memory, and calls at once.

``python -m benchmarks.attacks_http2 [--seconds 5] [--only rapid-reset,ping]``

As ``benchmarks.attacks``: the good client asks at a fixed rate, between two turns without an
attack. What does not depend on what else the machine does is the longest turn of the loop: the
CPU time that one burst of the attack takes at once. Attackers are a few connections in a process
of their own. Each sends a burst ten times a second; one that the server ends is opened again.
Memory is that of all, of calls included that still run for connections that have ended.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks import attacks
from benchmarks.apps.attacked_app import app
from benchmarks.deployment import ROOT
from benchmarks.inside import Inside, Sink, serving
from benchmarks.processes import usage

__all__ = ["ATTACKS", "Attack", "main"]

APP = "benchmarks.apps.attacked_app:app"
LIMIT_STREAMS = 128
SETTLING = 2.0
INTERVAL = 0.1
TURNS = 400
"""Turns of the loop that a read is followed for."""
CONNECTIONS = 4

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 8, 9
)  # fmt: skip
ACK, END_STREAM, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def request(stream: int, path: bytes, *, post: bool = False) -> bytes:
    """HEADERS of a GET, or of a POST whose content follows."""
    block = (b"\x83" if post else b"\x82") + b"\x86\x41\x01a\x04" + bytes((len(path),)) + path
    return frame(HEADERS, END_HEADERS | (0 if post else END_STREAM), stream, block)


def setting(number: int, value: int) -> bytes:
    """SETTINGS with one value."""
    return frame(SETTINGS, 0, 0, number.to_bytes(2) + value.to_bytes(4))


BEGIN = PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)
SHUT = PREFACE + setting(4, 0) + frame(SETTINGS, ACK, 0)
WIDE = PREFACE + setting(4, 1 << 30) + frame(SETTINGS, ACK, 0) + frame(
    WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4)
)  # fmt: skip
TWENTY = b"".join(request(stream, b"/endless") for stream in range(1, 41, 2))


@dataclass(frozen=True, slots=True)
class Attack:
    """What a connection begins with, and a burst of it.

    ``burst`` is given the number of bursts so far; ``reads`` says whether answers are read.
    """

    opening: bytes
    burst: Callable[[int], bytes] = lambda _: b""
    reads: bool = True


@cache
def resets(number: int) -> bytes:
    """10,000 requests, each reset at once."""
    begin = 1 + number * 20_000
    reset = (8).to_bytes(4)
    return b"".join(
        request(stream, b"/stay") + frame(RST_STREAM, 0, stream, reset)
        for stream in range(begin, begin + 20_000, 2)
    )


@cache
def made_resets(number: int) -> bytes:
    """10,000 requests, each followed by what makes the server reset it."""
    begin = 1 + number * 20_000
    return b"".join(
        request(stream, b"/stay") + frame(WINDOW_UPDATE, 0, stream, bytes(4))
        for stream in range(begin, begin + 20_000, 2)
    )


def flood(piece: bytes) -> Callable[[int], bytes]:
    """10,000 times the same."""
    burst = piece * 10_000
    return lambda _: burst


ATTACKS = {
    "rapid-reset": Attack(BEGIN, resets),
    "made-you-reset": Attack(BEGIN, made_resets),
    "continuation": Attack(
        BEGIN + frame(HEADERS, END_STREAM, 1, b"\x82"), flood(frame(CONTINUATION, 0, 1))
    ),
    "settings": Attack(BEGIN, flood(setting(4, 1))),
    "settings-unread": Attack(BEGIN, flood(setting(4, 1)), reads=False),
    "ping": Attack(BEGIN, flood(frame(PING, 0, 0, bytes(8)))),
    "ping-unread": Attack(BEGIN, flood(frame(PING, 0, 0, bytes(8))), reads=False),
    "empty-data": Attack(BEGIN + request(1, b"/echo", post=True), flood(frame(DATA, 0, 1))),
    "priority": Attack(BEGIN, flood(frame(PRIORITY, 0, 1, bytes(5)))),
    "shut-windows": Attack(SHUT + TWENTY),
    "never-reads": Attack(WIDE + TWENTY, reads=False),
}


class Attacker:
    """One connection, opened again and again."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack = attack
        self._port = port
        self._sock: socket.socket | None = None
        self._left = b""
        self._bursts = 0
        self.opened = 0
        self.ended = 0

    def open(self) -> None:
        """Connect."""
        self._sock = socket.create_connection(("127.0.0.1", self._port), 1)
        self._sock.setblocking(False)
        self._left = self._attack.opening
        self._bursts = 0
        self.opened += 1

    def turn(self) -> None:
        """Send what is left or the next burst, read what came."""
        try:
            if self._sock is None:
                self.open()
            if not self._left:
                self._left = self._attack.burst(self._bursts)
                self._bursts += 1
            self._exchange()
        except OSError:
            self.close()
            self.ended += 1

    def _exchange(self) -> None:
        assert self._sock is not None
        with suppress(BlockingIOError):
            while self._left:
                self._left = self._left[self._sock.send(self._left) :]
        with suppress(BlockingIOError):
            while self._attack.reads:
                if not self._sock.recv(1 << 18):
                    raise ConnectionResetError

    def close(self) -> None:
        """Close it."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._left = b""


def attack(kind: str, port: int, seconds: float) -> dict[str, int]:
    """Run the attackers of a kind."""
    attackers = [Attacker(ATTACKS[kind], port) for _ in range(CONNECTIONS)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        for each in attackers:
            each.turn()
            time.sleep(INTERVAL / CONNECTIONS / 2)
        time.sleep(max(0.0, begin + INTERVAL - time.monotonic()))
    for each in attackers:
        each.close()
    return {
        "opened": sum(each.opened for each in attackers),
        "ended": sum(each.ended for each in attackers),
    }


@contextmanager
def attacked(kind: str, port: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The attackers in a process of their own."""
    command = [sys.executable, "-m", __name__, "--attack", kind, str(port), str(seconds)]
    if __name__ == "__main__":
        command[2] = "benchmarks.attacks_http2"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def calls(port: int) -> dict[str, int]:
    """What the application has counted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/calls")
    counted: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return counted


def measure(kind: str, seconds: float) -> dict[str, Any]:
    """One attack between two turns without one, on a server of its own."""
    extra = [f"--limit-streams={LIMIT_STREAMS}", "--limit-connections=1000"]
    attacks.SERVERS["attacked"] = ["katana_asgi", APP, "--no-access-log"]
    with (
        attacks.serving("attacked", extra) as (process, port),
        attacks.serving("attacked", extra) as (_, other),
    ):
        with attacked(kind, other, SETTLING + seconds):
            time.sleep(SETTLING)
            beside = asyncio.run(attacks.behave(port, seconds))
        before = asyncio.run(attacks.behave(port, seconds))
        memory = usage(process.pid).resident_bytes
        with attacked(kind, port, SETTLING + seconds + 1) as crowd:
            time.sleep(SETTLING)
            cpu = usage(process.pid).cpu_seconds
            during = asyncio.run(attacks.behave(port, seconds))
            used = usage(process.pid)
            counted = calls(port)
            output, _ = crowd.communicate()
        after = asyncio.run(attacks.behave(port, seconds))
        alive = process.poll() is None
    calm = [attacks.milliseconds(each, 99) for each in (before, after)]
    p99 = attacks.milliseconds(during, 99)
    return {
        "attack": kind,
        "calm": sum(calm) / 2,
        "beside": attacks.milliseconds(beside, 99),
        "p50": attacks.milliseconds(during, 50),
        "p99": p99,
        "ratio": p99 / (sum(calm) / 2),
        "wrong": during.wrong,
        "cpu": (used.cpu_seconds - cpu) / seconds,
        "memory": (used.resident_bytes - memory) / 2**20,
        "turn": longest_turn(kind) * 1000,
        "most_calls": counted["most"],
        "calls": counted["all"],
        "alive": alive,
        **json.loads(output),
    }


def longest_turn(kind: str) -> float:
    """CPU seconds of the longest turn of the loop under one burst of an attack, in memory.

    That is how long it keeps the loop from others, whatever else the machine does.
    """
    return max(longest_of(ATTACKS[kind], inside) for inside in serving(app))


def longest_of(attack: Attack, inside: Inside) -> float:
    """The same, of a server that has been started."""
    connections: list[Sink] = []
    inside.turn(lambda: connections.append(inside.connect()))
    transport, longest, read = connections[0], 0.0, 256 * 1024
    burst = attack.opening + attack.burst(0)
    for at in range(0, len(burst), read):
        inside.loop.call_soon(transport.protocol.data_received, burst[at : at + read])
        for _ in range(TURNS):
            inside.loop.call_soon(inside.loop.stop)
            begin = time.thread_time()
            inside.loop.run_forever()
            longest = max(longest, time.thread_time() - begin)
    inside.turn(lambda: transport.protocol.connection_lost(None))
    return longest


COLUMNS = (
    "| attack | p99 without | p99, another attacked | p50 | p99 | ratio | wrong "
    "| longest turn | CPU | memory | most calls of one | connections, ended by the server |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row(figures: dict[str, Any]) -> str:
    """A line of the table."""
    return (
        "| {attack} | {calm:.1f} ms | {beside:.1f} ms | {p50:.1f} ms | {p99:.1f} ms | {ratio:.1f} "
        "| {wrong} | {turn:.1f} ms | {cpu:.0%} | {memory:+.1f} MiB | {most_calls} "
        "| {opened}, {ended} |"
    ).format(**figures)


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", default=",".join(ATTACKS))
    parser.add_argument("--attack", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        kind, port, seconds = arguments.attack
        print(json.dumps(attack(kind, int(port), float(seconds))))
        return
    print(COLUMNS, flush=True)
    for kind in arguments.only.split(","):
        print(row(measure(kind, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
