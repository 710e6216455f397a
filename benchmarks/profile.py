"""Where a worker's time goes: a flame graph by py-spy, and system calls for each request by strace.

``python -m benchmarks.profile flamegraph`` writes an SVG, ``syscalls`` prints a table for
keep-alive and churn, one column for each server.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.deployment import ROOT, Deployment, NotServing, Settings, pinned
from benchmarks.loads import Shot, file_of, run
from benchmarks.messages import REQUESTS
from benchmarks.processes import descendants
from benchmarks.report import grid
from benchmarks.scenarios import SCENARIOS, Generator
from benchmarks.servers import SERVERS

__all__ = ["calls_of", "main"]

LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
"""A line of strace's summary: share, seconds, microseconds, calls, errors, name."""


def flamegraph(arguments: argparse.Namespace) -> int:
    """Record a server under the load of a scenario; return the exit status."""
    scenario, server = SCENARIOS[arguments.scenario], SERVERS[arguments.server]
    settings = Settings(app=scenario.app, access_log=scenario.access_log, cores="0")
    with Deployment(server, settings) as deployment:
        deployment.check(REQUESTS[scenario.request])
        command = [
            arguments.py_spy,
            "record",
            f"--pid={deployment.pid}",
            "--subprocesses",
            f"--duration={arguments.seconds}",
            f"--rate={arguments.rate}",
            "--format=flamegraph",
            f"--output={arguments.out}",
            *(["--native"] if arguments.native else []),
        ]
        recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shot = Shot(
            generator=scenario.load,
            request=REQUESTS[scenario.request],
            seconds=arguments.seconds + 1,
            cores="1",
        )
        turn, _ = run(shot, deployment)
        output, _ = recorder.communicate(timeout=60)
    if recorder.returncode:
        print(output.decode(errors="replace").strip())
        return 1
    print(f"written: {arguments.out} ({turn.requests:,} requests were answered meanwhile)")
    return 0


def syscalls(arguments: argparse.Namespace) -> int:
    """Print the system calls for each request; return the exit status."""
    names = arguments.servers.split(",")
    for kind, request, generator in (
        ("keep-alive", "plain", Generator(tool="own", connections=8)),
        ("churn", "closing", Generator(tool="own", connections=1, reuse=1)),
    ):
        columns = {}
        for name in names:
            try:
                columns[name] = traced(name, request, generator, arguments.requests)
            except NotServing as error:
                print(f"{name}: skipped, {error}")
        if columns:
            print(f"\n{kind}, system calls for each request\n")
            print(table(columns))
    return 0


def traced(name: str, request: str, generator: Generator, requests: int) -> dict[str, float]:
    """Return the system calls of a server for each of so many requests, by name."""
    with Deployment(SERVERS[name], Settings()) as deployment:
        deployment.check(REQUESTS[request])
        _send(deployment.port, request, generator, 50)
        with tempfile.NamedTemporaryFile(suffix=".strace", mode="r") as output:
            # Each process of the tree is attached to; -f follows their threads.
            targets = [f"-p{pid}" for pid in descendants(deployment.pid)]
            command = ["strace", "-c", "-f", "-o", output.name, *targets]
            tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
            time.sleep(1)
            answered = _send(deployment.port, request, generator, requests)
            tracer.send_signal(signal.SIGINT)
            _, errors = tracer.communicate(timeout=30)
            text = Path(output.name).read_text()
    if not answered or not LINE.search(text):
        raise NotServing(f"strace found nothing: {errors.decode(errors='replace').strip()[-200:]}")
    return {call: count / answered for call, count in calls_of(text).items()}


def _send(port: int, request: str, generator: Generator, requests: int) -> int:
    load = {
        "port": port,
        "messages": str(file_of(REQUESTS[request])),
        "connections": generator.connections,
        "reuse": generator.reuse,
        "requests": requests,
        "seconds": 30,
    }
    done = subprocess.run(
        pinned([sys.executable, "-m", "benchmarks.loadgen"], "1"),
        input=json.dumps(load).encode(),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    return int(json.loads(done.stdout)["requests"])


def calls_of(text: str) -> dict[str, int]:
    """Return the calls by name of a summary that strace wrote."""
    return {name: int(calls) for calls, name in LINE.findall(text) if name != "total"}


def table(columns: dict[str, dict[str, float]]) -> str:
    """Return system calls as rows, servers as columns, without what is rarer than 1 in 100."""
    totals: dict[str, float] = {}
    for calls in columns.values():
        for name, count in calls.items():
            totals[name] = max(totals.get(name, 0), count)
    frequent = [name for name in totals if totals[name] >= 0.01]
    rows = [
        (name, *(f"{calls.get(name, 0):.2f}" for calls in columns.values()))
        for name in sorted(frequent, key=lambda name: (-totals[name], name))
    ]
    rows.append(("all", *(f"{sum(calls.values()):.2f}" for calls in columns.values())))
    return grid(("system call", *columns), rows)


def main() -> int:
    """Run a profiling tool; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    tools = parser.add_subparsers(dest="tool", required=True)
    flame = tools.add_parser("flamegraph", help="py-spy on a server under load, as SVG")
    flame.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/flamegraph.svg")
    flame.add_argument("--scenario", default="proxied", choices=sorted(SCENARIOS))
    flame.add_argument("--server", default="katana", choices=sorted(SERVERS))
    flame.add_argument("--seconds", type=int, default=5)
    flame.add_argument("--rate", type=int, default=500, help="samples a second")
    flame.add_argument("--native", action="store_true", help="frames of extensions too")
    calls = tools.add_parser("syscalls", help="strace on servers, as a table")
    calls.add_argument("--servers", default="katana,katana-static,uvicorn,bare")
    calls.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.tool == "syscalls":
        if shutil.which("strace") is None:
            print("syscalls: skipped, strace is not installed")
            return 0
        return syscalls(arguments)
    arguments.py_spy = shutil.which("py-spy") or _beside_python("py-spy")
    if arguments.py_spy is None:
        print("flamegraph: skipped, py-spy is not installed")
        return 0
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    return flamegraph(arguments)


def _beside_python(name: str) -> str | None:
    path = Path(sys.executable).parent / name
    return str(path) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
