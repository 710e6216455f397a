"""Runs one load against one server and returns what happened, with the server's CPU time.

Four tools: wrk for most requests, the own generator for exact latencies, h2load for HTTP/2, and
connections that stay open for the memory they cost.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks import http2
from benchmarks.deployment import ROOT, Deployment, pinned
from benchmarks.distribution import summary
from benchmarks.messages import Request, load_requests, save_requests
from benchmarks.processes import core_seconds
from benchmarks.responses import Framing
from benchmarks.results import Turn
from benchmarks.scenarios import Generator

__all__ = ["LoadFailed", "Shot", "file_of", "have_wrk", "run"]

SCRIPT = Path(__file__).parent / "load.lua"
RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)
SETTLE = 0.3
"""Seconds between opening idle connections and reading the server's memory."""


class LoadFailed(Exception):
    """A load generator did not run to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One load: how, what, how long, at which rate (0: closed loop), on which cores."""

    generator: Generator
    request: Request
    seconds: float
    rate: float = 0.0
    first: int = 0
    """The number of the request with which the own generator begins."""
    cores: str = ""
    raw: Callable[[str], None] = lambda _: None
    """Takes the generator's own output, to be kept beside the report."""


@cache
def file_of(request: Request) -> Path:
    """Return a file with the requests of a kind, made once in this process."""
    path = Path(_scratch().name) / f"{len(list(Path(_scratch().name).iterdir()))}.requests"
    save_requests(request.some(), path)
    return path


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a directory that goes with this process."""
    return tempfile.TemporaryDirectory(prefix="katana-requests-")


def have_wrk() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def run(shot: Shot, deployment: Deployment) -> tuple[Turn, array[int]]:
    """Load a server; return the turn and, from the own generator, its latencies in nanoseconds.

    Raises ``LoadFailed`` where the generator itself fails.
    """
    if shot.generator.tool == "idle":
        return idle(shot, deployment), array("Q")
    cores = deployment.settings.cores
    busy, before = core_seconds(cores), deployment.usage()
    spent = _spent_by_generators()
    if shot.generator.tool == "h2load":
        turn, samples = h2load(shot, deployment.port), array("Q")
    elif shot.generator.tool == "wrk" and have_wrk():
        turn, samples = wrk(shot, deployment.port), array("Q")
    else:
        turn, samples = own(shot, deployment.port)
    after = deployment.usage()
    # wrk says it more exactly: without what it took to read the requests.
    turn.generator_seconds = turn.generator_seconds or _spent_by_generators() - spent
    turn.cpu_seconds = after.cpu_seconds - before.cpu_seconds
    turn.others = max(core_seconds(cores) - busy - turn.cpu_seconds, 0.0) if cores else 0.0
    turn.threads = after.threads
    turn.connections = shot.generator.connections
    return turn, samples


def _spent_by_generators() -> float:
    """Return the CPU seconds of children that have ended; servers have not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wrk(shot: Shot, port: int) -> Turn:
    """Load with wrk, which sends the requests as they are."""
    generator = shot.generator
    command = [
        "wrk",
        f"-t{generator.threads}",
        f"-c{generator.connections}",
        f"-d{max(round(shot.seconds), 1)}s",
        "--timeout=5s",
        f"-s{SCRIPT}",
        f"http://127.0.0.1:{port}/",
        "--",
        str(file_of(shot.request)),
    ]
    text = _output(pinned(command, shot.cores), b"", shot.seconds).decode()
    shot.raw(text)
    found = RESULT.search(text)
    if found is None:
        raise LoadFailed(f"wrk gave no result: {text.strip()[-200:]}")
    data = json.loads(found.group(1))
    return Turn(
        requests=data["requests"],
        seconds=data["seconds"],
        generator_seconds=data["cpu_seconds"],
        bytes=data["bytes"],
        errors={kind: count for kind, count in data["errors"].items() if count},
        latency=data["latency_us"],
    )


def h2load(shot: Shot, port: int) -> Turn:
    """Load with h2load over HTTP/2; the fields are those of the first request, the paths differ."""
    generator = shot.generator
    requests = load_requests(file_of(shot.request))
    _, fields = http2.split(requests[0])
    address = http2.ADDRESS.format(port=port)
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as paths:
        paths.writelines(f"{address}{http2.split(each)[0]}\n" for each in requests)
        paths.flush()
        command = http2.command(
            Path(paths.name), fields, generator.connections, generator.streams, shot.seconds
        )
        text = _output(pinned(command, shot.cores), b"", shot.seconds).decode()
    shot.raw(text)
    try:
        requests_done, errors = http2.parse(text)
    except ValueError as error:
        raise LoadFailed(str(error)) from error
    return Turn(requests=requests_done, seconds=max(round(shot.seconds), 1), errors=errors)


def own(shot: Shot, port: int) -> tuple[Turn, array[int]]:
    """Load with the generator of this suite, in a process of its own."""
    generator = shot.generator
    load = {
        "port": port,
        "messages": str(file_of(shot.request)),
        "first": shot.first,
        "connections": generator.connections,
        "seconds": shot.seconds,
        "rate": shot.rate,
        "callers": generator.callers,
        "reuse": generator.reuse,
    }
    with tempfile.NamedTemporaryFile(suffix=".samples") as file:
        command = [sys.executable, "-m", "benchmarks.loadgen", f"--samples={file.name}"]
        output = _output(pinned(command, shot.cores), json.dumps(load).encode(), shot.seconds)
        samples = array("Q", Path(file.name).read_bytes())
    shot.raw(output.decode())
    data = json.loads(output)
    latency = {}
    if samples:
        latency = {k: v / 1000 for k, v in summary(sorted(samples)).items()}
    turn = Turn(
        requests=data["requests"],
        seconds=data["seconds"],
        unsent=data["unsent"],
        errors=data["errors"],
        latency=latency,
        offered=shot.rate,
    )
    return turn, samples


def _output(command: list[str], given: bytes, seconds: float) -> bytes:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, cwd=ROOT, timeout=seconds * 2 + 30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadFailed(str(error)) from error
    if done.returncode:
        message = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise LoadFailed(f"{command[0]} failed: {message[-200:]}")
    return done.stdout


def idle(shot: Shot, deployment: Deployment) -> Turn:
    """Open connections, use each once, leave them open, and read what the server's memory grew.

    A tenth of them comes and goes first, so that the server's pools and caches have their size.
    """
    count = shot.generator.connections
    _, failed = _open(deployment.port, shot.request, count // 10)
    time.sleep(SETTLE)
    before = deployment.usage()
    connections, failed = _open(deployment.port, shot.request, count, keep=True)
    time.sleep(SETTLE)
    after = deployment.usage()
    turn = Turn(requests=len(connections), connections=len(connections))
    turn.cpu_seconds = after.cpu_seconds - before.cpu_seconds
    lost = sum(_closed(connection) for connection in connections)
    for connection in connections:
        connection.close()
    if failed or lost:
        turn.errors = {k: v for k, v in (("connect", failed), ("closed", lost)) if v}
    elif connections:
        grown = after.resident_bytes - before.resident_bytes
        turn.connection_bytes = max(grown, 0) / len(connections)
    return turn


def _open(
    port: int, request: Request, count: int, keep: bool = False
) -> tuple[list[socket.socket], int]:
    connections, failed = [], 0
    for _ in range(count):
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connections.append(connection)
            connection.sendall(request.first())
            framing = Framing()
            while not framing.feed(data := connection.recv(65536)):
                if not data:
                    raise ConnectionResetError
        except OSError:
            failed += 1
            if failed > 10:
                break
    if not keep:
        for connection in connections:
            connection.close()
    return connections, failed


def _closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    with suppress(BlockingIOError):
        return not connection.recv(1)
    return False
