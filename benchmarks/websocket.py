"""WebSocket figures: echoes of three sizes on 1 and 64 sockets, and the memory of idle ones.

Servers take turns, round by round; what counts is the CPU time of the whole server for a
message, which other work on the machine disturbs least::

    python -m benchmarks.websocket echo --rounds 5 --seconds 2
    python -m benchmarks.websocket idle --sockets 10000 --seconds 45
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from benchmarks.deployment import ROOT, free_port, pinned
from benchmarks.machine import package_version
from benchmarks.processes import usage

APP = "benchmarks.apps.websocket:app"
SIZES = {"32 B": 32, "1 KiB": 1024, "64 KiB": 65536}
CONNECTIONS = (1, 64)
CEILING = "bare uvloop protocol"
STARTUP = 30.0
"""Seconds a server may take until it accepts."""


def katana(port: int) -> list[str]:
    """Return the command of katana-asgi."""
    return ["-m", "katana_asgi", APP, f"--port={port}", "--no-access-log"]


def uvicorn(implementation: str) -> Callable[[int], list[str]]:
    """Return the command of uvicorn with one of its WebSocket implementations."""

    def command(port: int) -> list[str]:
        flags = [f"--port={port}", f"--ws={implementation}", "--loop=uvloop", "--no-access-log"]
        return ["-m", "uvicorn", APP, *flags, "--log-level=warning"]

    return command


def granian(port: int) -> list[str]:
    """Return the command of granian."""
    flags = ["--interface=asgi", "--loop=uvloop", "--http=1", f"--port={port}"]
    return ["-m", "granian", APP, "--host=127.0.0.1", *flags, "--no-access-log"]


def ceiling(port: int) -> list[str]:
    """Return the command of a bare protocol that only looks at sizes."""
    return ["-m", "benchmarks.websocket_ceiling", f"--port={port}"]


SERVERS: dict[str, Callable[[int], list[str]]] = {
    "katana-asgi": katana,
    "uvicorn (websockets-sansio)": uvicorn("websockets-sansio"),
    "uvicorn (websockets)": uvicorn("websockets"),
    "uvicorn (wsproto)": uvicorn("wsproto"),
    "granian": granian,
    CEILING: ceiling,
}


NEEDS = {
    "uvicorn (websockets-sansio)": ("uvicorn", "websockets"),
    "uvicorn (websockets)": ("uvicorn", "websockets"),
    "uvicorn (wsproto)": ("uvicorn", "wsproto"),
    "granian": ("granian",),
}
"""Packages without which a server cannot take part."""


def present(names: list[str]) -> list[str]:
    """Return the servers that can be run here; say which cannot, and what is compared."""
    found = []
    for name in names:
        absent = [need for need in NEEDS.get(name, ()) if package_version(need) is None]
        if absent:
            print(f"{name} is skipped: {', '.join(absent)} is not installed", file=sys.stderr)
        else:
            found.append(name)
    packages = ("uvloop", "uvicorn", "websockets", "wsproto", "granian")
    versions = [f"{name} {version}" for name in packages if (version := package_version(name))]
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores")
    return found


@contextmanager
def serving(command: Callable[[int], list[str]], core: str) -> Iterator[tuple[int, int]]:
    """Run a server; gives its process id and port."""
    port = free_port()
    process = subprocess.Popen(
        pinned([sys.executable, *command(port)], core),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + STARTUP
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command.__name__} does not serve")
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def client(core: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run the load generator up to the point where all its sockets are open."""
    process = subprocess.Popen(
        pinned([sys.executable, "-m", "benchmarks.websocket_load", *flags], core),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the client could not connect")
        yield process
    finally:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    """Let the client go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def result(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return what the client found; it must be right."""
    assert process.stdout is not None
    found: dict[str, float] = json.loads(process.stdout.readline())
    if found["wrong"]:
        raise RuntimeError(f"{found['wrong']} sockets got something else than their echo")
    return found


def echo_once(
    pid: int, port: int, size: int, connections: int, options: argparse.Namespace
) -> tuple[float, float]:
    """Return microseconds of server CPU per message, and messages per second."""
    flags = [f"--port={port}", f"--size={size}", f"--connections={connections}"]
    with client(options.client_core, *flags, f"--seconds={options.seconds}") as process:
        before = usage(pid).cpu_seconds
        tell(process)
        found = result(process)
        spent = usage(pid).cpu_seconds - before
    if not found["count"]:
        raise RuntimeError("nothing was echoed")
    return spent / found["count"] * 1e6, found["count"] / found["seconds"]


def echo(options: argparse.Namespace) -> None:
    """Print a table for each size and number of sockets."""
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(serving(SERVERS[name], options.server_core))
            for name in options.servers
        }
        for label in options.sizes:
            for connections in options.connections:
                figures: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
                for _ in range(options.rounds):
                    for name, (pid, port) in running.items():
                        once = echo_once(pid, port, SIZES[label], connections, options)
                        figures[name].append(once)
                report(f"{label}, {connections} socket(s)", figures)


def report(title: str, figures: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians, spread, and the median of each round's ratio to the first server."""
    first = [cpu for cpu, _ in next(iter(figures.values()))]
    print(f"\n| {title} | µs CPU per message | from | to | messages/s | x of ours |")
    print("|---|---|---|---|---|---|")
    for name, rounds in figures.items():
        costs = [cpu for cpu, _ in rounds]
        cost = statistics.median(costs)
        ratio = statistics.median(cpu / own for cpu, own in zip(costs, first, strict=True))
        rate = statistics.median(rate for _, rate in rounds)
        print(
            f"| {name} | {cost:.1f} | {min(costs):.1f} | {max(costs):.1f} | {rate:,.0f} "
            f"| {ratio:.2f} |",
            flush=True,
        )


def idle(options: argparse.Namespace) -> None:
    """Print what each of many idle sockets costs in memory, pings on."""
    print(f"\n| {options.sockets:,} idle sockets | bytes each | pings answered | CPU, % |")
    print("|---|---|---|---|")
    for name in options.servers:
        if name == CEILING:
            continue
        with serving(SERVERS[name], options.server_core) as (pid, port):
            empty = usage(pid).resident_bytes
            flags = [f"--port={port}", f"--connections={options.sockets}", "--idle"]
            with client(options.client_core, *flags) as process:
                tell(process)
                before = usage(pid).cpu_seconds
                time.sleep(options.seconds)
                after = usage(pid)
                tell(process)
                found = result(process)
            each = (after.resident_bytes - empty) / options.sockets
            busy = (after.cpu_seconds - before) / options.seconds * 100
            print(f"| {name} | {each:,.0f} | {found['count']:,.0f} | {busy:.1f} |", flush=True)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("echo", "idle"))
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--connections", nargs="+", type=int, default=CONNECTIONS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--client-core", default="1")
    options = parser.parse_args()
    options.servers = present(options.servers)
    {"echo": echo, "idle": idle}[options.what](options)


if __name__ == "__main__":
    main()
