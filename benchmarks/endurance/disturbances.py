"""What is done to a service while it is used: each thing once, then by chance."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.endurance.outcomes import Outcomes
    from benchmarks.endurance.service import Service

__all__ = ["KINDS", "Disturbances"]

KINDS: Final = {
    "kill": 3,
    "pause worker": 3,
    "pause supervisor": 1,
    "restart": 2,
    "reload": 2,
    "upgrade": 3,
    "more": 2,
    "fewer": 2,
    "certificate": 3,
    "rotate": 2,
}
"""What may be done, and how often in relation to the others."""

KILL_APART: Final = 11.0
"""Seconds between kills: a worker that dies sooner again and again is a crash loop."""

UPGRADE_APART: Final = 20.0
"""Seconds between upgrades: each starts every worker anew."""

EXTRA: Final = 2
"""Workers beyond those of the settings."""

PAUSE: Final = (0.2, 4.0)
"""Seconds for which a process is stopped."""


class Disturbances:
    """Of one service; ``only`` names those that are wanted."""

    def __init__(
        self, service: Service, outcomes: Outcomes, chance: random.Random, only: set[str]
    ) -> None:
        self._service = service
        self._outcomes = outcomes
        self._chance = chance
        self._kinds = {kind: weight for kind, weight in KINDS.items() if kind in only}
        if service.authority is None:
            self._kinds.pop("certificate", None)
        self._extra = 0
        self._killed_at = self._upgraded_at = -UPGRADE_APART
        self.done: Counter[str] = Counter()

    async def work(self, until: float, apart: tuple[float, float]) -> None:
        """Until that time, with so many seconds between two. Raises ``NoService``."""
        first = list(self._kinds)
        self._chance.shuffle(first)
        while self._kinds and time.monotonic() < until:
            kind = first.pop() if first else self._choose()
            await getattr(self, kind.replace(" ", "_"))()
            rest = self._chance.uniform(*apart)
            await asyncio.sleep(max(0.0, min(rest, until - time.monotonic())))

    def _choose(self) -> str:
        now = time.monotonic()
        kinds = dict(self._kinds)
        if now - self._killed_at < KILL_APART:
            kinds.pop("kill", None)
        if now - self._upgraded_at < UPGRADE_APART:
            kinds.pop("upgrade", None)
        return self._chance.choices(list(kinds), list(kinds.values()))[0] if kinds else "nothing"

    async def nothing(self) -> None:
        """Nothing may be done just now."""

    async def kill(self) -> None:
        """End a worker in the middle of everything."""
        workers = self._service.workers()
        if workers:
            worker = self._chance.choice(workers)
            self._outcomes.about_to_kill(worker)
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            self._killed_at = time.monotonic()
            self.done["worker killed"] += 1

    async def pause_worker(self) -> None:
        """Stop a worker for a while, as a debugger or a freezer of containers does."""
        workers = self._service.workers()
        if workers:
            await self._pause(self._chance.choice(workers))
            self.done["worker stopped for a while"] += 1

    async def pause_supervisor(self) -> None:
        """Stop the supervisor for a while."""
        await self._pause(self._service.supervisor)
        self.done["supervisor stopped for a while"] += 1

    async def _pause(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(self._chance.uniform(*PAUSE))
            finally:
                os.kill(pid, signal.SIGCONT)

    async def restart(self) -> None:
        """Replace every worker, with the settings as they are."""
        self._service.signal(signal.SIGHUP)
        self.done["rolling restart"] += 1

    async def reload(self) -> None:
        """Change the settings and have them read."""
        self._service.write_settings()
        self._service.signal(signal.SIGHUP)
        self.done["settings reloaded"] += 1

    async def upgrade(self) -> None:
        """Another supervisor."""
        await self._service.upgrade()
        self._upgraded_at = time.monotonic()
        self._extra = 0
        self.done["new supervisor"] += 1

    async def more(self) -> None:
        """One worker more."""
        if self._extra < EXTRA:
            self._extra += 1
            self._service.signal(signal.SIGTTIN)
            self.done["worker added"] += 1

    async def fewer(self) -> None:
        """One worker less."""
        if self._extra > 0:
            self._extra -= 1
            self._service.signal(signal.SIGTTOU)
            self.done["worker taken away"] += 1

    async def certificate(self) -> None:
        """The files change, and nothing else is done."""
        self._service.renew_certificate()
        self.done["certificate replaced"] += 1

    async def rotate(self) -> None:
        """The access log is renamed and opened again."""
        self._service.rotate_logs()
        self.done["log rotated"] += 1
