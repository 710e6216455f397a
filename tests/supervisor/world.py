"""A world for one supervisor: processes, signals and a clock that do what a script says.

The supervisor, its slots, channels and sockets are the real ones. Whenever it waits, the next
event of the script happens, and what must hold at all times is checked; ``World.run`` ends with a
calm, in which nothing may be missing, and a stop, which has to come to its end.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from katana_asgi.config.model import Config
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.supervisor.backoff import DELAYS
from katana_asgi.supervisor.slot import LEAVING_LIMIT, Slot
from katana_asgi.supervisor.supervisor import EXIT_GRACE, SHUTDOWN_GRACE, Supervisor
from katana_asgi.supervisor.system import System
from katana_asgi.worker.channel import Channel

STARTUP = 30.0
BLOCKED = 30.0
DRAIN = 10.0
QUICK = 3.0
SLACK = 3.0
"""Seconds by which the supervisor may be late: its turns take up to one."""

SETTINGS: dict[str, Any] = {
    "app": "never:imported",
    "port": 0,
    "timeout_startup": STARTUP,
    "timeout_worker": BLOCKED,
    "timeout_graceful_shutdown": DRAIN,
    "timeout_lifespan_shutdown": 0.0,
}

CALM = 120
"""Seconds in which everything has to come to rest: blocked workers are replaced one by one."""

FACTS = ("started", "said", "ready", "told", "failing", "hung", "code")

Event = tuple[Any, ...]


@dataclass(eq=False)
class Process:
    """A child as it really is; times are those of ``World.ran``."""

    pid: int
    slot: Slot | None  # None: the next supervisor
    config: Config | None
    sockets: tuple[socket.socket, ...]
    channel: Channel
    started: float
    said: float
    ready: float | None = None
    told: float | None = None
    failing: float | None = None  # it said so, or closed its channel
    hung: bool = False
    code: int | None = None
    reaped: bool = False

    def __str__(self) -> str:
        what = "the next supervisor" if self.slot is None else self.slot.name
        facts = {name: getattr(self, name) for name in FACTS}
        return f"{what} [{self.pid}] {facts}"

    @property
    def living(self) -> bool:
        return self.code is None

    @property
    def worker(self) -> bool:
        return self.slot is not None and self.slot.entry is None


class Arrivals:
    """Signals that arrive when the script says so."""

    hangup_ignored = True

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)

    def __enter__(self) -> Arrivals:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        return self._reader.fileno()

    def arrive(self, number: int) -> None:
        self._writer.send(bytes((number,)))

    def read(self) -> list[int]:
        return list(self._reader.recv(4096))


class Waiting(selectors.PollSelector):
    """What the supervisor waits with: meanwhile the world goes on."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None
        assert timeout <= 1.0
        ready = super().select(0)
        if not ready:
            self._world.goes_on(timeout)
            ready = super().select(0)
        return ready


class World(System):
    """Where a supervisor with ``workers`` workers is run."""

    def __init__(self, script: Iterable[Event], *, obedient: bool = True, **settings: Any) -> None:
        self.config = Config(**{**SETTINGS, **settings})
        self.processes: list[Process] = []
        self.log: list[str] = []
        self.ran = 0.0  # seconds for which the supervisor was not stopped
        self._now = 1000.0
        self._stop_in = 0  # readings of the clock until the supervisor is stopped
        self._stop_for = 0.0
        self._stops = 0
        self._fork_failures = 0
        self._reloaded: Any = self.config
        self._latest = self.config.limit_max_requests
        self._obedient = obedient
        self._course = self._all_of(script)
        self._rest = 0.0  # of a tick that is longer than the supervisor waits
        self._in_vain = 0  # turns in which the supervisor neither waited nor had anything to do
        self._arrivals = Arrivals()
        self._stop_signals = 0
        self.broken: list[str] = []
        self.settled = False

    def run(self) -> int:
        """Run a supervisor to its end; returns its exit status, and 1 where it cannot start."""
        handler = _Log(self)
        logger = logging.getLogger("katana_asgi.error")
        logger.addHandler(handler)
        try:
            status = Supervisor(self.config, _never, self._reload, system=self).run()
        except StartupError:
            assert any("fork" in event for event in self.log), "no reason not to start"
            status = 1
        finally:
            logger.removeHandler(handler)
            for process in self.processes:
                process.channel.close()
        self._check(True, "")
        left = [process.pid for process in self.children if not process.reaped]
        assert not left, f"not waited for: {left}"
        return status

    @property
    def children(self) -> list[Process]:
        """All but a supervisor that has taken over."""
        return [each for each in self.processes if each.slot is not None or each.ready is None]

    # -- the system

    def now(self) -> float:
        if self._stop_in:
            self._stop_in -= 1
            if not self._stop_in:
                self._now += self._stop_for
                self._stops += 1
                self._beat()
        return self._now

    def signals(self) -> Any:
        return self._arrivals

    def selector(self) -> selectors.BaseSelector:
        return Waiting(self)

    def fork(
        self, entry: Any, config: Config, slot: Slot, start: str, release: Any
    ) -> tuple[int, Channel]:
        if self._fork_failures:
            self._fork_failures -= 1
            self.log.append("fork failed")
            raise OSError(11, "Resource temporarily unavailable")
        return self._new(slot, config)

    def execute(
        self, sockets: Any, redirects: Any, links: Any, directory: str
    ) -> tuple[int, Channel]:
        if self._fork_failures:
            self._fork_failures -= 1
            raise OSError(11, "Resource temporarily unavailable")
        return self._new(None, None)

    def _new(self, slot: Slot | None, config: Config | None) -> tuple[int, Channel]:
        here, there = Channel.pair()
        sockets = () if slot is None else tuple(slot.sockets)
        pid = 1000 + len(self.processes)
        self.processes.append(Process(pid, slot, config, sockets, there, self.ran, self.ran))
        for sock in sockets:
            self._check(sock.fileno() != -1, f"{pid} has a closed socket")
        return pid, here

    def signal(self, pid: int, number: int) -> None:
        process = self.processes[pid - 1000]
        self._check(not process.reaped, f"{pid} is signalled, and may be another process by now")
        if not process.living:
            return
        if number == signal.SIGKILL:
            self._check(self._deserves_to_die(process), f"{process} is killed for nothing")
            self.ends(process, -number)
        elif number == signal.SIGABRT:
            self._check(self._is_silent(process), f"{process} is no silent one")
            self.ends(process, -number)
        elif process.slot is None:  # the next supervisor is told to stop
            process.told = self.ran if process.told is None else process.told
        elif not process.hung:
            self.ends(process, -number)

    def wait(self, pid: int, *, block: bool = False) -> int | None:
        process = self.processes[pid - 1000]
        self._check(not process.reaped, f"{pid} is waited for again")
        self._check(not (block and process.living), f"{pid} lives, and is waited for")
        process.reaped = not process.living
        return process.code

    # -- what happens

    def goes_on(self, timeout: float) -> None:
        """The supervisor waits: the next event, or a part of the time that is to pass."""
        self._hear()
        self._always()
        if self._rest > 0:
            self._in_vain = 0 if timeout else self._in_vain + 1
            self._check(self._in_vain < 3, "it turns without a pause, and nothing to do")
            self._pass(min(timeout, self._rest))
            return
        event, *arguments = next(self._course, ("the end",))
        if event == "the end":
            raise AssertionError("it does not end")
        getattr(self, event)(*arguments)

    def _all_of(self, script: Iterable[Event]) -> Iterator[Event]:
        yield from script
        self._fork_failures = 0
        for _ in range(CALM):
            yield ("calm",)
            yield ("tick", 1.0)
            if not self._missing():
                break
        missing = self._missing()
        self._check(not missing, f"after the calm: {missing}")
        self.settled = True
        yield ("told", signal.SIGTERM)
        for _ in range(int(DRAIN + SHUTDOWN_GRACE + QUICK + SLACK)):
            if self._obedient:
                yield ("calm",)
            yield ("tick", 1.0)

    def calm(self) -> None:
        """All that is well does what is expected of it."""
        for process in self._living():
            if not process.hung and (process.slot is None or process.told is not None):
                self.ends(process, 0 if process.slot else 1)
            elif process.ready is None and process.failing is None and not process.hung:
                self._become_ready(process)

    def tick(self, seconds: float) -> None:
        self._rest = seconds

    def _pass(self, seconds: float) -> None:
        self._rest = round(self._rest - seconds, 6)
        if self._rest < 0.001:
            self._rest = 0.0
        self._now += seconds
        self.ran += seconds
        self._beat()

    def _beat(self) -> None:
        for process in self._living():
            if process.ready is not None and not process.hung and process.failing is None:
                self._say(process, {"type": "heartbeat", "connections": 1})

    def stopped(self, readings: int, seconds: float) -> None:
        """The supervisor is stopped for a while, after so many readings of the clock."""
        self._stop_in, self._stop_for = readings, seconds

    def ready(self, which: int) -> None:
        self._one(which, lambda each: each.ready is None and not each.hung, self._become_ready)

    def _become_ready(self, process: Process) -> None:
        process.ready = self.ran
        self._say(process, {"type": "ready", "addresses": []})

    def retires(self, which: int) -> None:
        def retire(process: Process) -> None:
            self._say(process, {"type": "retiring", "reason": "age"})

        self._one(which, lambda each: each.worker and each.ready is not None, retire)

    def obeys(self, which: int) -> None:
        self._one(which, lambda each: each.told is not None and not each.hung, self.ends, 0)

    def crashes(self, which: int, code: int) -> None:
        self._one(which, lambda each: each.slot is not None, self.ends, code)

    def fails(self, which: int, ends: bool) -> None:
        def fail(process: Process) -> None:
            self._say(process, {"type": "failed", "status": 3, "reason": "says no"})
            process.failing = self.ran
            if ends:
                self.ends(process, 3)

        def may_fail(each: Process) -> bool:
            return each.slot is not None and each.ready is None and not each.hung

        self._one(which, may_fail, fail)

    def hangs_up(self, which: int) -> None:
        def close(process: Process) -> None:
            process.channel.close()
            process.failing = self.ran

        self._one(which, lambda each: each.slot is not None, close)

    def hangs(self, which: int) -> None:
        def hang(process: Process) -> None:
            process.hung = True

        self._one(which, lambda each: True, hang)

    def successor_ends(self) -> None:
        self._one(0, lambda each: each.slot is None, self.ends, 1)

    def forks_fail(self, count: int) -> None:
        self._fork_failures = count

    def told(self, number: int) -> None:
        self._stop_signals += number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        self._arrivals.arrive(number)

    def reload(self, how: str, workers: int = 0) -> None:
        """SIGHUP; the settings are broken, the same but for a mark, or have another number."""
        self._latest += how != "broken"
        self._reloaded = self._reloaded if how != "broken" else None
        if how != "broken":
            base = self.config
            count = workers or base.workers
            self._reloaded = base.replace(limit_max_requests=self._latest, workers=count)
        self.told(signal.SIGHUP)

    def _reload(self) -> Config:
        if self._reloaded is None:
            raise ConfigurationError("broken")
        return self._reloaded

    def _one(self, which: int, fit: Any, act: Any, *arguments: Any) -> None:
        """Something happens to one of those that it can happen to."""
        fitting = [each for each in self._living() if each.failing is None and fit(each)]
        if fitting:
            act(fitting[which % len(fitting)], *arguments)

    def _say(self, process: Process, message: dict[str, Any]) -> None:
        process.said = self.ran
        process.channel.send(message)

    def ends(self, process: Process, code: int) -> None:
        process.code = code
        process.channel.close()
        self._arrivals.arrive(signal.SIGCHLD)

    def _hear(self) -> None:
        """What the supervisor has told the processes."""
        for process in self._living():
            messages = [] if process.channel.closed else process.channel.receive()
            if process.told is None and any(each["type"] in ("stop", "quit") for each in messages):
                process.told = self.ran

    # -- what holds

    def _living(self) -> list[Process]:
        return [process for process in self.processes if process.living]

    def _check(self, holds: bool, what: str) -> None:
        """Note what does not hold: an exception could be taken for a fault that is gone on with."""
        if not holds:
            self.broken.append(what)
        assert not self.broken, [*self.log[-30:], *self.broken]

    def _since(self, when: float | None, seconds: float) -> bool:
        """Whether that is so long ago; each stop may count for a second, as much as a turn has."""
        return when is not None and self.ran - when >= seconds - self._stops - 0.001

    def _is_silent(self, process: Process) -> bool:
        return process.ready is not None and self._since(process.said, BLOCKED)

    def _deserves_to_die(self, process: Process) -> bool:
        quick = any("at once" in line for line in self.log) or not process.worker
        return (
            any("again, killing" in line for line in self.log)
            or "fork failed" in self.log
            or self._since(process.told, QUICK if quick else DRAIN + SHUTDOWN_GRACE)
            or (quick and process.failing is not None and self._stop_signals > 0)
            or (process.ready is None and self._since(process.started, STARTUP))
            or self._since(process.failing, EXIT_GRACE)
            or self._is_silent(process)
        )

    def _always(self) -> None:
        """What holds whenever the supervisor waits for something to happen."""
        slots: Counter[Slot] = Counter()
        all_of: Counter[Slot] = Counter()
        serving: Counter[Slot] = Counter()
        for process in self._living():
            slot = process.slot
            if slot is not None:
                all_of[slot] += 1
                reachable = process.told is None and process.failing is None
                slots[slot] += reachable
                serving[slot] += reachable and process.ready is not None
            late = self._late(process)
            self._check(not late, f"{process} should have ended: {late}")
        self._check(all(n <= 2 for n in slots.values()), "more than a worker and its successor")
        self._check(all(n <= 1 for n in serving.values()), "two workers serve in one slot")
        most = LEAVING_LIMIT + 2
        self._check(all(n <= most for n in all_of.values()), "too many drain")

    def _late(self, process: Process) -> str:
        """What it should have been killed for."""
        starts = process.slot is not None and process.ready is None
        for when, limit, what in (
            (process.told, DRAIN + SHUTDOWN_GRACE + QUICK * (not process.worker), "told to stop"),
            (process.started if starts else None, STARTUP, "starting"),
            (process.failing, EXIT_GRACE, "failing"),
        ):
            if when is not None and self.ran - when > limit + SLACK:
                return what
        return ""

    @property
    def _wanted(self) -> int:
        """How many workers the operator wants by now, as the log has it."""
        wanted = self.config.workers
        for line in self.log:
            words = line.split()
            if line.startswith("Reloading: "):
                wanted = int(words[1])
            wanted += line == "Received SIGTTIN"
            wanted -= line.startswith("Cannot add a worker")
            if line == "Received SIGTTOU":
                wanted = max(1, wanted - 1)
        return wanted

    def _missing(self) -> str:
        """What is not as it has to be at rest: a worker in every slot, no socket without one."""
        living = [each for each in self._living() if each.slot is not None]
        if any(each.told is not None for each in living):
            return "some have not come to their end"
        serving = [each for each in living if each.worker and each.ready is not None]
        if any(each.hung or each.failing is not None for each in serving):
            return "a worker that does not work"
        if len(serving) != self._wanted or len({each.slot for each in serving}) != len(serving):
            return f"{len(serving)} of {self._wanted} workers serve"
        accepted = {sock for each in serving for sock in each.sockets}
        for process in self.processes:
            if process.worker and process.ready is not None and set(process.sockets) - accepted:
                return f"no worker accepts from a socket that {process} had"
        given_up = max(_last(self.log, "Reload given up"), _last(self.log, "Not reloaded"))
        if _last(self.log, "Reloading: ") > given_up:
            marks = {each.config.limit_max_requests for each in serving if each.config}
            if len(marks) != 1:
                return f"workers of several generations: {marks}"
        return ""

    def gives_up(self) -> None:
        """The log says so: was it right?"""
        deaths = sum(each.code is not None for each in self.processes)
        deaths += self.log.count("fork failed")
        self._check(deaths > len(DELAYS), "given up too early")


class _Log(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.log.append(record.getMessage())
        if record.exc_info:
            self._world.broken.append(f"{record.getMessage()}: {record.exc_info[1]!r}")
        if record.levelno >= logging.CRITICAL:
            self._world.gives_up()


def _last(lines: list[str], begin: str) -> int:
    return max((n for n, line in enumerate(lines) if line.startswith(begin)), default=-1)


def _never(*_: object) -> int:
    raise AssertionError("a worker runs in the process of the supervisor")
