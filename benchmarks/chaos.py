"""Load while workers are killed, restarted, recycled, upgraded and reloaded at random: what fails?

``python -m benchmarks.chaos --minutes 5`` sends the load of ``rolling.py`` over TLS to two
workers and does something to them every few seconds. Only requests in flight on a worker that
was killed may fail: a failure on a connection that it served, or within moments of the kill,
counts as excused, and every other as a loss. The counts are printed; the status is 1 where
there was a loss. ``--seed`` repeats the choices.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import ssl
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from benchmarks.rolling import Load, Service

EXCUSED: float = 2.0
"""Seconds after a kill in which clients notice: on a busy machine they are late."""

KILL_APART: float = 8.0
"""Seconds between kills: a worker that dies sooner again and again is a crash loop."""

UPGRADE_APART: float = 20.0
"""Seconds between upgrades: each starts every worker anew."""

SETTINGS = 'workers = 2\nlimit-max-requests = 4000\nheader = ["X-Turn: {turn}"]\n'


def write_certificate(authority: trustme.CA, directory: Path) -> None:
    """A new certificate in one file, which takes the place of the one before in one step."""
    fresh = directory / "fresh.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(fresh))
    fresh.replace(directory / "site.pem")


class Chaos:
    """What is done to a service, and when."""

    def __init__(
        self,
        service: Service,
        load: Load,
        config: Path,
        chance: random.Random,
        authority: trustme.CA,
    ) -> None:
        self.service = service
        self.load = load
        self.config = config
        self.chance = chance
        self.authority = authority
        self.upgraded_at = time.monotonic()
        self.done: Counter[str] = Counter()
        self.killed_at = -EXCUSED
        self.extra = 0  # workers beyond the two

    def workers(self) -> list[int]:
        """The processes that serve, from the log."""
        log = self.service.log.read_text()
        ready = re.findall(r"Worker \d+ \[(\d+)\] is ready", log)
        ended = set(re.findall(r"Worker \d+ \[(\d+)\] (?:ended|died)", log))
        return [int(pid) for pid in ready if pid not in ended]

    async def act(self) -> None:
        """Do one thing, by chance."""
        choices = ["reload", "restart", "more", "fewer", "reopen", "certificate", "certificate"]
        if time.monotonic() - self.killed_at > KILL_APART:
            choices += ["kill", "kill", "kill"]
        now = time.monotonic()
        calm = self.extra == 0 and now - self.killed_at > EXCUSED  # or failures would be mistaken
        if calm and now - self.upgraded_at > UPGRADE_APART:
            choices += ["upgrade"] * 3
        what = self.chance.choice(choices)
        if what == "upgrade":
            self.upgraded_at = time.monotonic()
            self.done["new supervisor"] += 1
            await self.service.upgrade()
        else:
            getattr(self, what)()

    def certificate(self) -> None:
        """Renew the certificate: the files change, and nothing else is done."""
        self.done["certificate replaced"] += 1
        write_certificate(self.authority, self.config.parent)

    def kill(self) -> None:
        """End a worker in the middle of everything."""
        with suppress(ProcessLookupError, IndexError):
            pid = self.chance.choice(self.workers())
            self.load.killed.add(pid)
            os.kill(pid, signal.SIGKILL)
            self.killed_at = time.monotonic()
            self.done["worker killed"] += 1

    def reload(self) -> None:
        """Change the settings and have them read."""
        self.done["settings reloaded"] += 1
        self.config.write_text(SETTINGS.format(turn=self.done["settings reloaded"]))
        self.extra = 0
        self.service.signal(signal.SIGHUP)

    def restart(self) -> None:
        """Replace every worker."""
        self.done["rolling restart"] += 1
        self.extra = 0
        self.service.signal(signal.SIGHUP)

    def more(self) -> None:
        """One worker more."""
        if self.extra < 2:
            self.extra += 1
            self.done["worker added"] += 1
            self.service.signal(signal.SIGTTIN)

    def fewer(self) -> None:
        """One worker less."""
        if self.extra > 0:
            self.extra -= 1
            self.done["worker taken away"] += 1
            self.service.signal(signal.SIGTTOU)

    def reopen(self) -> None:
        """As log rotation does."""
        self.done["logs reopened"] += 1
        self.service.signal(signal.SIGUSR1)


async def run(seconds: float, seed: int, directory: Path) -> int:
    """Do it; returns the number of losses."""
    config = directory / "katana.toml"
    config.write_text(SETTINGS.format(turn=0))
    authority = trustme.CA()
    write_certificate(authority, directory)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    certificate = ("--ssl-certfile", str(directory / "site.pem"))
    service = Service(directory, "--config", str(config), *certificate)
    chance = random.Random(seed)
    excused: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    try:
        url = await service.wait_for(r"Listening on https://([\d.]+):(\d+)")
        load = Load(url[1], int(url[2]), trust)
        chaos = Chaos(service, load, config, chance, authority)
        clients = load.clients()
        end = time.monotonic() + seconds
        act_at = time.monotonic() + 1
        while time.monotonic() < end:
            if time.monotonic() >= act_at:
                await chaos.act()
                act_at = time.monotonic() + chance.uniform(0.5, 4)
            await asyncio.sleep(0.1)
            near = time.monotonic() - chaos.killed_at < EXCUSED
            (excused if near else lost).update(load.losses)
            load.losses.clear()
            if not service.alive:
                raise SystemExit(service.log.read_text()[-3000:])
        load.stopping = True
        await asyncio.wait(clients)
        lost.update(load.losses)
        excused.update(load.excused)
    finally:
        status = await service.stop()
    print(f"{load.total} requests in {seconds:.0f} s, seed {seed}, exit status {status}")
    for name, counts in (("done", chaos.done), ("answered", load.counts)):
        print(f"{name}: " + ", ".join(f"{what} {n}" for what, n in sorted(counts.items())))
    print(f"recycled: {service.count('retires after')}, workers in all: {len(load.workers)}")
    for name, counts in (("in flight on a killed worker", excused), ("lost", lost)):
        print(f"{name}: {sum(counts.values())}")
        for what, number in counts.most_common():
            print(f"  {what}: {number}")
    if lost:
        print(service.log.read_text()[-6000:], file=sys.stderr)
    return sum(lost.values())


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as directory:
        return 1 if asyncio.run(run(options.minutes * 60, options.seed, Path(directory))) else 0


if __name__ == "__main__":
    sys.exit(main())
