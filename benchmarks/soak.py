"""Good, slow, broken and resetting clients together over two workers, for a long while.

``python -m benchmarks.soak [--minutes 10] [--rate 400]``

Ends with status 0 where no answer was wrong, no worker ended, memory stayed flat once the load
was there, and afterwards every descriptor was returned.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from benchmarks.apps.plain import GREETING, LARGE
from benchmarks.attacks import attacked, serving
from benchmarks.processes import descendants, usage

CLIENTS = 24

CROWDS = {
    "idle": 300,
    "slow-head": 100,
    "slow-head-bytes": 50,
    "slow-body": 100,
    "slow-chunks": 100,
    "slow-read": 20,
    "reset": 10,
    "nonsense": 20,
}

SAMPLE = 5.0
"""Seconds between two looks at the processes."""

GROWTH = 0.1
"""What memory may grow between the second quarter and the last, as a share."""

STATIC = b"health"


@dataclass
class Tally:
    """What the good clients saw, and what the processes looked like."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


class Client:
    """One good client: whole exchanges of several kinds, every answer compared."""

    def __init__(self, port: int, number: int, tally: Tally) -> None:
        self._port = port
        self._chance = random.Random(number)
        self._tally = tally
        self._kinds = [self._greeting, self._static, self._echo, self._chunked, self._pipelined]

    async def work(self, until: float, pause: float) -> None:
        """Connect, make some exchanges, leave, and again."""
        while time.monotonic() < until:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            for _ in range(self._chance.randint(1, 200)):
                if time.monotonic() >= until:
                    break
                await asyncio.sleep(self._chance.expovariate(1 / pause))
                kind = self._large if self._chance.random() < 0.02 else None
                await self._judge(kind or self._chance.choice(self._kinds))
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _judge(self, exchange: object) -> None:
        name = getattr(exchange, "__name__", "")
        try:
            right = await asyncio.wait_for(exchange(), 30)  # type: ignore[operator]
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            self._tally.wrong.append(f"{name}: {error!r}")
            self._writer.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            return
        if right:
            self._tally.right += 1
        else:
            self._tally.wrong.append(name)

    async def _ask(self, head: bytes, content: bytes = b"") -> bytes:
        self._writer.write(head + b"\r\nHost: a\r\n" + content)
        await self._writer.drain()
        return await self._answer()

    async def _answer(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 OK\r\n"):
            return head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    async def _greeting(self) -> bool:
        path = b"/%d" % self._chance.randrange(10**6)
        return await self._ask(b"GET %b HTTP/1.1" % path, b"\r\n") == GREETING

    async def _static(self) -> bool:
        return await self._ask(b"GET /health HTTP/1.1", b"\r\n") == STATIC

    async def _echo(self) -> bool:
        content = self._chance.randbytes(self._chance.randrange(1, 100_000))
        head = b"POST /echo HTTP/1.1"
        return (
            await self._ask(head, b"Content-Length: %d\r\n\r\n" % len(content) + content) == content
        )

    async def _chunked(self) -> bool:
        pieces = [self._chance.randbytes(self._chance.randrange(1, 3000)) for _ in range(8)]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        fields = b"Transfer-Encoding: chunked\r\n\r\n"
        answer = await self._ask(b"POST /echo HTTP/1.1", fields + coded + b"0\r\n\r\n")
        return answer == b"".join(pieces)

    async def _pipelined(self) -> bool:
        one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        self._writer.write(one * 4)
        answers = [await self._answer() for _ in range(8)]
        return answers == [GREETING, STATIC] * 4

    async def _large(self) -> bool:
        return await self._ask(b"GET /large HTTP/1.1", b"\r\n") == LARGE


def descriptors(pids: list[int]) -> int:
    """How many descriptors these processes have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


async def behave(port: int, pid: int, seconds: float, rate: float, tally: Tally) -> None:
    """Run all good clients, and look at the server now and then."""
    until = time.monotonic() + seconds
    work = [
        asyncio.ensure_future(Client(port, number, tally).work(until, CLIENTS / rate))
        for number in range(CLIENTS)
    ]
    while time.monotonic() < until:
        await asyncio.sleep(min(SAMPLE, max(0.0, until - time.monotonic())))
        pids = descendants(pid)
        tally.memory.append(usage(pid).resident_bytes)
        tally.descriptors.append(descriptors(pids))
    await asyncio.gather(*work)


def returned(pids: list[int], before: int) -> int:
    """Descriptors that are still open once all clients have gone and some time has passed."""
    until = time.monotonic() + 30
    while descriptors(pids) > before and time.monotonic() < until:
        time.sleep(0.5)
    return descriptors(pids) - before


def verdict(tally: Tally, same_workers: bool, left: int) -> list[str]:
    """What was not as promised."""
    faults = [f"wrong answer: {wrong}" for wrong in tally.wrong[:20]]
    if not same_workers:
        faults.append("a worker has ended")
    if left > 0:
        faults.append(f"{left} descriptors were not returned")
    quarter = len(tally.memory) // 4
    if quarter:
        early = statistics.median(tally.memory[quarter : 2 * quarter])
        late = statistics.median(tally.memory[-quarter:])
        if late > early * (1 + GROWTH):
            faults.append(f"memory grew from {early / 2**20:.1f} to {late / 2**20:.1f} MiB")
    return faults


def main() -> None:
    """Soak, then say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=400.0, help="good exchanges a second")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    tally = Tally()
    with ExitStack() as stack:
        extra = ["--workers=2", "--static-route=/health=health"]
        process, port = stack.enter_context(serving("katana", extra))
        time.sleep(2)
        asyncio.run(behave(port, process.pid, 3, 100, Tally()))  # everything is loaded then
        pids = descendants(process.pid)
        before = descriptors(pids)
        crowds: list[subprocess.Popen[bytes]] = [
            stack.enter_context(attacked(kind, port, seconds, size))
            for kind, size in CROWDS.items()
        ]
        asyncio.run(behave(port, process.pid, seconds, arguments.rate, tally))
        for crowd in crowds:
            crowd.communicate()
        same_workers = descendants(process.pid) == pids
        left = returned(pids, before)
    megabytes = [round(each / 2**20, 1) for each in tally.memory]
    print(f"{tally.right} right answers, {len(tally.wrong)} wrong ones in {seconds:.0f} s")
    print(f"anonymous memory, MiB: first {megabytes[:3]}, last {megabytes[-3:]}")
    print(f"descriptors: {before} before, {max(tally.descriptors)} at most, {left} not returned")
    faults = verdict(tally, same_workers, left)
    print("\n".join(faults) or "all as promised")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
