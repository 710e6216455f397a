"""A slot and the workers in it, as the supervisor sees them.

A slot is a place for one worker and owns a listening socket for as long as the service runs.
Workers come and go; the socket stays, and with it the connections that wait in its queue.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from katana_asgi.supervisor.backoff import Backoff
from katana_asgi.supervisor.signals import describe_signal

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.supervisor.system import System
    from katana_asgi.worker.channel import Channel, Message, ShutdownMode

__all__ = ["Slot", "WorkerProcess", "describe_end"]

LEAVING_LIMIT: Final = 3
"""Retired workers of a slot that may still drain when the next one starts. Slow clients keep
them for the graceful budget; with a low request limit that must not fill the machine."""

SILENT: Final = 10.0
"""Seconds without a heartbeat, which comes each second, after which a loop counts as blocked."""


class WorkerProcess:
    """A child process, from its fork until it has been waited for.

    ``ready_at`` is ``None`` until the worker has said that it accepts. ``reason`` is what is
    known of a failure before the process ends. ``heartbeat`` is its last one, as received, and
    ``heard_at`` when it last said anything. ``config`` and ``sockets`` are what it was started
    with, ``generation`` the number of reloads before. ``retiring``: it asked to be replaced.
    """

    def __init__(
        self, system: System, slot: Slot, pid: int, channel: Channel, config: Config, now: float
    ) -> None:
        self._system = system
        self.slot = slot
        self.pid = pid
        self.channel = channel
        self.config = config
        self.sockets = tuple(slot.sockets)
        self.generation = 0
        self.started_at = now
        self.ready_at: float | None = None
        self.heard_at = now
        self.heartbeat: Message | None = None
        self.status: int | None = None
        self.reason: str | None = None
        self.retiring = False
        self.blocked = False  # and that has been said
        self.kill_at: float | None = None
        self.complaint = ""

    def __str__(self) -> str:
        return f"{self.slot.name} [{self.pid}]"

    @property
    def awaited(self) -> bool:
        """Whether the worker is to become ready, and has not."""
        return self.ready_at is None and self not in self.slot.leaving

    def ready_for(self, now: float) -> float:
        """Return the seconds since the worker became ready, 0 before."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    def condition(self, now: float) -> str:
        """Return "importing" (or in startup), "blocked", "busy" or "idle"."""
        if self.ready_at is None:
            return "importing"
        if now - self.heard_at >= SILENT:
            return "blocked"
        return "busy" if (self.heartbeat or {}).get("connections") else "idle"

    def became_ready(self, now: float) -> None:
        """Note that the worker accepts connections."""
        self.ready_at = now
        self.kill_at = None
        self.slot.was_ready = True

    def excuse(self, seconds: float) -> None:
        """Move its deadlines: for so long the supervisor has not run, and heard nothing."""
        self.heard_at += seconds
        if self.kill_at is not None:
            self.kill_at += seconds

    def must_end_by(self, when: float, complaint: str) -> None:
        """Have the worker killed at ``when``, unless it is to be killed earlier."""
        if self.kill_at is None or when < self.kill_at:
            self.kill_at = when
            self.complaint = complaint

    def tell_stop(self, mode: ShutdownMode, *, quick: bool = False) -> None:
        """Ask the worker to drain and end.

        A worker that is still starting may be importing, deaf to messages, and has nothing to
        drain: it gets SIGTERM too. A ready one does not: service managers send their own
        SIGTERM to every process, and a second one could mean "at once" to it.
        """
        message = {"type": "quit"} if quick else {"type": "stop", "mode": mode.value}
        if not self.channel.send(message) or self.ready_at is None:
            self._system.signal(self.pid, signal.SIGTERM)

    def show_stacks(self) -> None:
        """Have the worker write the stacks of its threads and end, also while it is blocked."""
        self._system.signal(self.pid, signal.SIGABRT)

    def kill(self) -> None:
        """End the worker at once, whatever it does."""
        self.kill_at = None
        self._system.signal(self.pid, signal.SIGKILL)

    def wait(self, *, block: bool = False) -> int | None:
        """Return the exit status, negative for a signal; ``None`` while the process lives."""
        return self._system.wait(self.pid, block=block)


class Slot:
    """A place for one worker.

    ``start_at`` is when the next worker is to start, ``None`` while none is wanted. Where
    there is a ``worker``, the next one is its ``successor`` until it is ready. ``leaving`` are
    workers that drain. ``own`` are the slot's own sockets, one for each place; ``sockets`` has
    them and those left over from slots that are no more.
    """

    def __init__(self, number: int, own: Sequence[socket.socket], now: float) -> None:
        self.number = number
        self.name = f"worker {number}"
        self.own = tuple(own)
        self.sockets = [*self.own]
        self.worker: WorkerProcess | None = None
        self.successor: WorkerProcess | None = None
        self.leaving: set[WorkerProcess] = set()
        self.leaving_limit = LEAVING_LIMIT
        self.backoff = Backoff()
        self.was_ready = False
        self.start_at: float | None = now
        self.entry: Entry | None = None  # what runs in it; None: what runs in every other

    @property
    def due_at(self) -> float | None:
        """When to start a worker; ``None`` where first another has to end."""
        many = len(self.leaving) + (self.worker is not None) > self.leaving_limit
        return None if many else self.start_at

    @property
    def settled(self) -> bool:
        """Whether its worker is ready and no other is on the way."""
        return (
            self.worker is not None
            and self.worker.ready_at is not None
            and self.successor is None
            and self.start_at is None
        )

    @property
    def waits(self) -> bool:
        """Whether it has no worker, and the next try at one is some time off."""
        return self.worker is None and self.start_at is not None and self.backoff.exhausted

    def take(self, worker: WorkerProcess) -> None:
        """Note a worker that was started."""
        self.start_at = None
        if self.worker is None:
            self.worker = worker
        else:
            self.successor = worker

    def give_up_start(self) -> WorkerProcess | None:
        """Return the worker that is still starting, if one is: it has to go."""
        starting = self.successor or self.worker
        if starting is None or starting.ready_at is not None:
            return None
        if starting is self.successor:
            self.successor = None
        else:
            self.worker = None
        self.leaving.add(starting)
        return starting

    def hand_over(self) -> WorkerProcess | None:
        """The successor is ready and takes the place; returns the worker that has to go."""
        before = self.worker
        if before is not None:
            self.leaving.add(before)
        self.worker, self.successor = self.successor, None
        self.backoff.retired()
        return before

    def forget(self, worker: WorkerProcess) -> None:
        """A worker has ended, and none takes its place: its number may be another process's now."""
        self.leaving.discard(worker)
        if worker is self.worker:
            self.worker = None
        elif worker is self.successor:
            self.successor = None

    def serves(self, sock: socket.socket) -> bool:
        """Whether its ready worker accepts from ``sock``."""
        worker = self.worker
        return worker is not None and worker.ready_at is not None and sock in worker.sockets


def describe_end(code: int) -> str:
    """Say how a process ended, from the code of ``WorkerProcess.wait``."""
    return describe_signal(-code) if code < 0 else f"exit status {code}"
