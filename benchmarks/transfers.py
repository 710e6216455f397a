"""An upload and a download of 100 MiB over HTTP/2 beside the same over HTTP/1.1, by h2load.

``python -m benchmarks.transfers [--rounds 5] [--servers katana,granian]``

One connection, one request at a time. In each round every server has its turn over both versions;
ratios are medians of those of the rounds. The server runs on core 0, h2load on core 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

from benchmarks.apps.plain import STREAMED
from benchmarks.deployment import Deployment, Settings, pinned
from benchmarks.servers import SERVERS

__all__ = ["main", "parse"]

WAYS = ("upload", "download")
PEERS = ("katana", "granian", "h2corn")
"""Others let h2load fail over HTTP/1.1."""
TIME = re.compile(r"^finished in (?P<time>[0-9.]+)(?P<unit>us|ms|s|m)", re.MULTILINE)
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One of them: MiB a second, and CPU microseconds of the server for each MiB."""

    rate: float
    cpu: float


def parse(text: str) -> float:
    """Return the seconds that h2load took for one request that was answered with 200.

    Raises ``ValueError`` where there was no such answer.
    """
    found = TIME.search(text)
    if found is None or "status codes: 1 2xx" not in text:
        raise ValueError("h2load was not answered with 200")
    return float(found["time"]) * SECONDS[found["unit"]]


def transfer(deployment: Deployment, way: str, content: str, *, http2: bool) -> Transfer:
    """Do one of them."""
    command = ["h2load", "--clients=1", "--requests=1", *([] if http2 else ["--h1"])]
    path = "/stream"
    if way == "upload":
        command.append(f"--data={content}")
        path = "/sink"
    command.append(f"http://127.0.0.1:{deployment.port}{path}")
    before = deployment.usage().cpu_seconds
    done = subprocess.run(
        pinned(command, "1"), capture_output=True, text=True, timeout=120, check=False
    )
    used = deployment.usage().cpu_seconds - before
    return Transfer(STREAMED / parse(done.stdout), used / STREAMED * 1e6)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", default=",".join(PEERS))
    arguments = parser.parse_args()
    if shutil.which("h2load") is None:
        print("transfers: skipped, the program h2load is not installed")
        return 0
    names = [name for name in arguments.servers.split(",") if not SERVERS[name].missing()]
    found: dict[tuple[str, str, bool], list[Transfer]] = {}
    with tempfile.NamedTemporaryFile(suffix=".content") as content:
        content.truncate(STREAMED << 20)
        for _ in range(arguments.rounds):
            for name in names:
                for http2 in (False, True):
                    settings = Settings(http2=http2, cores="0")
                    with Deployment(SERVERS[name], settings) as deployment:
                        for way in WAYS:
                            try:
                                each = transfer(deployment, way, content.name, http2=http2)
                            except ValueError as error:
                                print(f"{name}, {way}: {error}")
                            else:
                                found.setdefault((name, way, http2), []).append(each)
    print("| server | way | HTTP/1.1, MiB/s | HTTP/2, MiB/s | ratio | CPU µs/MiB, 1.1 | 2 |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for way in WAYS:
        for name in names:
            old, new = found.get((name, way, False), []), found.get((name, way, True), [])
            if len(old) == len(new) == arguments.rounds:
                print(line(name, way, old, new))
    return 0


def line(name: str, way: str, old: list[Transfer], new: list[Transfer]) -> str:
    """A line of the table."""
    ratio = statistics.median([b.rate / a.rate for a, b in zip(old, new, strict=True)])
    rates = [statistics.median([each.rate for each in some]) for some in (old, new)]
    costs = [statistics.median([each.cpu for each in some]) for some in (old, new)]
    return (
        f"| {name} | {way} | {rates[0]:,.0f} | {rates[1]:,.0f} | {ratio:.2f} "
        f"| {costs[0]:,.0f} | {costs[1]:,.0f} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
