"""``python -m benchmarks.endurance [--minutes 30] [--report FILE]``: does a service stand it?

Two services, one plain and one over TLS, with several workers, static files, response cache,
access log and metrics. Clients over HTTP/1.1, HTTP/2 and WebSocket check every answer, others are
slow, half-closed, resetting or malformed; meanwhile workers are killed and stopped, settings
reloaded, certificates replaced, logs rotated, supervisors upgraded. A request that is lost because
its worker was killed under it is counted apart. The report goes to FILE, or to standard output.
The exit status is 1 where something was wrong, and beside FILE are the logs then.
``--only restart,upgrade`` does no more than that, ``--seed`` repeats the choices.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import trustme

from benchmarks.attacks import attacked
from benchmarks.endurance.clients import Client, Http1Client, Site, SocketClient
from benchmarks.endurance.disturbances import KINDS, Disturbances
from benchmarks.endurance.http2 import Http2Client
from benchmarks.endurance.report import Course, SiteReport, faults_of, left_over, render
from benchmarks.endurance.service import NoService, Service

if TYPE_CHECKING:
    from collections.abc import Collection

CROWDS: Final = {
    "idle": 60,
    "slow-head": 30,
    "slow-head-bytes": 20,
    "slow-body": 30,
    "slow-chunks": 30,
    "slow-read": 8,
    "reset": 4,
    "nonsense": 8,
    "half-closed": 10,
    "half-closed-answer": 4,
    "http2-nonsense": 4,
    "http2-idle": 10,
    "websocket-nonsense": 4,
    "websocket-slow": 10,
}
"""Bad clients of the plain service, and of that over TLS as far as they send no more."""

CROWDS_TLS: Final = ("idle", "nonsense", "reset", "half-closed", "slow-head")

TLS: Final = "TLS"
SERVICES: Final = ("plain", TLS)

EACH_SAMPLE: Final = 5.0
"""Seconds between two samples of the processes, and reads of the metrics."""

QUIET: Final = 30.0
"""Seconds after the last client in which descriptors may still be returned."""


class Run:
    """One service with its clients, from the start to the stop."""

    def __init__(self, service: Service, seconds: float, rate: float) -> None:
        self.service = service
        self.seconds = seconds
        self.rate = rate
        self.course = Course()
        self.faults: list[str] = []
        self.crowds: dict[str, dict[str, Any]] = {}

    async def go(self, chance: random.Random, only: set[str], *, crowds: bool) -> SiteReport:
        """All of it. Raises ``NoService`` where the service does not start."""
        site = await self.service.start()
        disturbances = Disturbances(self.service, site.outcomes, chance, only)
        self.course.start = self.service.samples()
        end = time.monotonic() + self.seconds
        clients = [asyncio.ensure_future(client.work()) for client in self.clients(site)]
        watching = asyncio.ensure_future(self._watch(end))
        timing = asyncio.ensure_future(self._time_the_loop(site))
        with ExitStack() as stack:
            crowd = stack.enter_context(self._crowd(site.port)) if crowds else None
            try:
                apart = min(0.5, self.seconds / 20), min(4.0, self.seconds / 10)
                await disturbances.work(end, apart)
                await asyncio.sleep(max(0.0, end - time.monotonic()))
            except NoService as error:
                self.faults.append(str(error))
            site.stopping = True
            done, late = await asyncio.wait(clients, timeout=60)
            failures = filter(None, (each.exception() for each in done))
            self.faults += [f"a client failed: {failure!r}" for failure in failures]
            self.faults += [f"{len(late)} clients do not come to an end"] * bool(late)
            watching.cancel()
            timing.cancel()
            if crowd is not None:
                output, _ = await asyncio.to_thread(crowd.communicate)
                self.crowds = json.loads(output)
        await self._calm()
        self.faults += await self.service.stop()
        lines, access_lines = self.service.read_log(), self.service.access_lines()
        return SiteReport(
            self.service.name,
            site.outcomes,
            self.course,
            disturbances.done,
            lines,
            access_lines,
            self.crowds,
            self.faults,
        )

    def clients(self, site: Site) -> list[Client]:
        """Those that behave well, with so much rest that together they ask at the rate."""
        count = 24
        pause = count / self.rate
        clients: list[Client] = [Http1Client(site, number, pause) for number in range(10)]
        clients += [Http1Client(site, number, pause, most=1) for number in range(10, 14)]
        clients += [Http1Client(site, number, 0.7) for number in range(14, 18)]
        clients += [Http2Client(site, number, 2 * pause) for number in range(18, 22)]
        return clients + [SocketClient(site, number, pause) for number in range(22, 26)]

    def _crowd(self, port: int) -> Any:
        plain = self.service.authority is None
        sizes = {kind: size for kind, size in CROWDS.items() if plain or kind in CROWDS_TLS}
        return attacked(sizes, port, max(1.0, self.seconds - 1))

    async def _watch(self, end: float) -> None:
        begin = time.monotonic()
        each = min(EACH_SAMPLE, self.seconds / 8)
        while True:
            await asyncio.sleep(each)
            now = time.monotonic()
            samples = self.service.samples()
            self.course.samples.append((now - begin, samples))
            if not self.course.middle and end - now <= self.seconds / 2:
                self.course.middle = samples
            try:
                await self._read_metrics()
            except OSError:
                # Not there for a moment: the next supervisor opens it when the last has closed it.
                self.course.metrics["was not there"] += 1

    async def _time_the_loop(self, site: Site) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            self.course.late = max(self.course.late, now - before - 0.1)
            site.outcomes.did_not_run(now - before - 0.1)
            before = now

    async def _read_metrics(self) -> None:
        async with asyncio.timeout(20):
            port = self.service.admin_port()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            try:
                writer.write(
                    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await reader.read()
            finally:
                writer.close()
        if not answer:
            raise ConnectionResetError
        good = answer.startswith(b"HTTP/1.1 200 ") and b"requests_total" in answer
        self.course.metrics["read" if good else f"not as expected: {answer[:80]!r}"] += 1

    async def _calm(self) -> None:
        """Wait until what clients held is returned, then look for the last time."""
        until = time.monotonic() + QUIET
        while True:
            self.course.end = self.service.samples()
            if not left_over(self.course) or time.monotonic() > until:
                return
            await asyncio.sleep(0.5)


async def run(
    seconds: float,
    *,
    rate: float = 300.0,
    seed: int = 1,
    only: set[str] | None = None,
    crowds: bool = True,
    names: Collection[str] = SERVICES,
) -> tuple[list[SiteReport], list[str]]:
    """Run the services of these names; returns what became of each, and the faults."""
    wanted = set(KINDS) if only is None else only
    with TemporaryDirectory(prefix="katana-endurance-") as name:
        authority = trustme.CA() if TLS in names else None
        services = [Service(each, Path(name), authority if each == TLS else None) for each in names]
        runs = [Run(service, seconds, rate / len(services)) for service in services]
        try:
            sites = await asyncio.gather(
                *[
                    each.go(random.Random(seed + number), wanted, crowds=crowds)
                    for number, each in enumerate(runs)
                ]
            )
        finally:
            for service in services:
                with suppress(OSError, AttributeError, subprocess.SubprocessError):
                    service.kill()
    faults = [fault for site in sites for fault in faults_of(site, seconds)]
    return sites, faults


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=300.0, help="good requests a second, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--report", type=Path, help="where the report goes")
    options = parser.parse_args()
    only = None if options.only is None else {word.strip() for word in options.only.split(",")}
    if only is not None and not only <= KINDS.keys():
        parser.error(f"--only: {', '.join(only - KINDS.keys())} is none of {', '.join(KINDS)}")
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # of clients that write to who has gone
    seconds = options.minutes * 60
    sites, faults = asyncio.run(run(seconds, rate=options.rate, seed=options.seed, only=only))
    report = render(sites, seconds, options.seed, faults)
    if options.report is None:
        print(report)
    else:
        options.report.write_text(report)
        for site in sites if faults else ():
            options.report.with_suffix(f".{site.name}.log").write_text("\n".join(site.lines))
        print("\n".join(faults) or "all as promised")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
