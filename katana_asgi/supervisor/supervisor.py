"""The parent process of a service: starts workers, watches them, replaces them, ends them.

One thread, one loop over descriptors and deadlines. It owns the listening sockets and, unless
it is told to preload, never imports the application, so that no fault of one can reach it.
"""

from __future__ import annotations

import logging
import os
import selectors
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.balance.links import Links
from katana_asgi.config.directory import current_directory
from katana_asgi.errors import StartupError
from katana_asgi.net.notify import Notifier
from katana_asgi.net.sockets import (
    bind_slots,
    describe,
    in_slots,
    own_unix_file,
    reason_of,
    remove_unix_socket,
)
from katana_asgi.supervisor.admin import AdminSlot
from katana_asgi.supervisor.changes import Changes
from katana_asgi.supervisor.ends import Ends, capital
from katana_asgi.supervisor.fork import preload, run_worker
from katana_asgi.supervisor.heartbeat import check_heartbeats, next_check
from katana_asgi.supervisor.identity import remove_pid_file, set_title, write_pid_file
from katana_asgi.supervisor.slot import Slot, WorkerProcess
from katana_asgi.supervisor.system import System
from katana_asgi.supervisor.upgrade import Predecessor, close_all
from katana_asgi.worker.channel import Budgets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from katana_asgi.balance.links import Share
    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.worker.channel import Message

__all__ = ["Supervisor"]

SHUTDOWN_GRACE: Final = 5.0
"""Seconds a worker gets on top of its budgets, to unwind and for its exit functions, before it
is killed."""

EXIT_GRACE: Final = 5.0
"""Seconds a worker gets to end after it said that it failed or closed its channel."""

FAULT_PAUSE: Final = 1.0
"""Seconds until the next turn after a fault of our own, against one that comes back each turn."""

ROUND: Final = 1.0
"""Seconds between two turns at most, so that the supervisor notices when it did not run."""

OWN_DELAY: Final = 2.0
"""Seconds by which the supervisor itself is late when it was stopped, or had no processor: what
its workers did meanwhile it could not see, and nothing of it is held against them."""

logger = logging.getLogger("katana_asgi.error")


class Supervisor(Ends):
    """Runs ``config.workers`` worker processes until it is told to stop.

    ``entry`` is what a worker runs, by default ``katana_asgi.worker.worker.run_worker``.
    ``reload`` reads the settings again for SIGHUP; without it they stay as they are. ``system``
    is where the processes are.
    """

    def __init__(
        self,
        config: Config,
        entry: Entry | None = None,
        reload: Callable[[], Config] | None = None,
        *,
        system: System | None = None,
    ) -> None:
        self._system = System() if system is None else system
        self._config = config
        self._entry = run_worker if entry is None else entry
        self._directory = current_directory()
        self._slots: list[Slot] = []
        self._admin: AdminSlot | None = None  # ... and that of the admin listener, if any
        self._admin_at: float | None = None  # when to try to open it
        self._workers: dict[int, WorkerProcess] = {}
        self._changes = Changes(config, self._slots, reload)
        self._predecessor: Predecessor | None = None
        self._announced = False
        self._status_line = ""  # for the service manager
        self._notifier = Notifier()
        self._alive_at = self._system.now() if self._notifier.watchdog else None
        self._complete = False
        self._faulty_until = 0.0
        self._turned_at = self._system.now()  # when the last turn began
        self._status = 0
        self._links: Links | None = None
        super().__init__()

    @property
    def _linked(self) -> list[int]:
        """What the workers of another supervisor need to reach those of this one."""
        return [] if self._links is None else self._links.descriptors

    @property
    def _budget(self) -> float:
        """Seconds that a worker may take to drain and end."""
        budgets = Budgets.of(self._config)
        # What moves to other workers does so before the drain.
        moving = 0.0 if self._links is None else self._config.timeout_drain_idle
        return moving + budgets.longest + budgets.lifespan + SHUTDOWN_GRACE

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT, SIGQUIT or a failure; no child is left when it ends.

        Returns the exit status: 0 after a requested stop, also where a worker had to be killed
        for being late; 128 plus the signal's number after a second signal, which kills the
        workers at once; the worker's own status (1 import error, 3 lifespan startup failed)
        where one fails at the first start; 1 after a crash loop.

        Raises ``StartupError`` where an address cannot be bound, a process cannot be started,
        the system has no ``fork`` or this is not the main thread.
        """
        if not hasattr(os, "fork"):
            raise StartupError("a supervisor needs POSIX")
        self._selector = self._system.selector()
        with self._system.signals() as self._signals:
            self._selector.register(self._signals, selectors.EVENT_READ, self._on_signals)
            try:
                self._prepare()
                self._watch()
                logger.info("Stopped supervisor [%d]", os.getpid())
            finally:
                self._leave_nothing()
        return self._status

    def _prepare(self) -> None:
        config = self._config
        predecessor = self._predecessor = Predecessor.find()
        now = self._system.now()
        if predecessor is None:
            rows = bind_slots(config, config.workers)
        else:
            for sock in predecessor.sockets:
                own_unix_file(sock)
            rows = in_slots(predecessor.sockets)
            if config.balance == "off":
                close_all(predecessor.links)
            elif predecessor.links:
                self._links = _links(len(rows), predecessor.links)
        self._slots += [Slot(number, row, now) for number, row in enumerate(rows, 1)]
        if predecessor is None:
            write_pid_file(config.pid_file)  # not before it is clear that no other runs here
        self._changes.resize(config.workers)  # one slot may have several sockets
        logger.info("Started supervisor [%d]", os.getpid())
        set_title("supervisor", self._config)
        if config.preload:
            preload(config)
        if config.admin_bind and predecessor is None:
            self._open_admin()

    def _open_admin(self) -> None:
        """Raises ``StartupError``."""
        self._admin = AdminSlot(self._config, self._system.now())
        logger.info("Admin listener on %s", describe(self._admin.own[0]))

    def _take_over_admin(self, now: float) -> None:
        """After an upgrade: open the admin listener once the predecessor has closed its own."""
        self._admin_at = None
        try:
            self._open_admin()
        except StartupError as error:
            self._admin_at = now + 1.0
            logger.debug("Not yet: %s", error)

    @property
    def _all_slots(self) -> list[Slot]:
        return self._slots if self._admin is None else [*self._slots, self._admin]

    def _watch(self) -> None:
        while True:
            now = self._system.now()
            if not self._stopping:
                self._step(self._change, now)
            for slot in self._all_slots:
                if slot.due_at is not None and slot.due_at <= now:
                    self._step(self._start, slot)
            if self._stopping and not self._workers and not self._successor_ends:
                return
            self._wait()
            if self._config.ssl_reload and not self._stopping:
                self._step(self._keep_certificates)
            # As of the turn's begin: it may have been stopped since, which the next one notices.
            self._kill_overdue(self._turned_at)
            if not self._stopping:
                check_heartbeats(self._serving(), self._config.timeout_worker, self._turned_at)
            self._tell_alive()

    def _step(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do what may go wrong; once the service is up, a fault in it must not end the service.

        Before, the start has failed, and while it stops, what is left is killed.
        """
        try:
            step(*arguments)
        except Exception:
            if self._stopping or not self._complete:
                raise
            logger.exception("A fault of the supervisor; the service goes on as it is")
            self._faulty_until = self._system.now() + FAULT_PAUSE

    def _change(self, now: float) -> None:
        """Take the next step of what was asked for."""
        self._stop_workers(self._changes.go_on(now))
        if self._reloading and self._announced and not self._changes.rolling:
            self._reloading = False
            self._notifier.ready(self._status_line)
        if self._admin_at is not None and self._admin_at <= now:
            self._take_over_admin(now)

    def _wait(self) -> None:
        """Wait for signals, messages and deadlines, and do what they ask for."""
        timeout = self._time_to_next_deadline()
        ready = self._selector.select(ROUND if timeout is None else min(timeout, ROUND))
        # From turn to turn: it may be stopped while it works as well as while it waits.
        before, self._turned_at = self._turned_at, self._system.now()
        late = self._turned_at - before - ROUND
        if late > OWN_DELAY:
            logger.warning("The supervisor did not run for %.1f s", late)
            self._successor_kill_at += late
            for worker in self._workers.values():
                worker.excuse(late)
        for key, _ in ready:
            self._step(key.data)

    def _tell_alive(self) -> None:
        now = self._system.now()
        if self._alive_at is not None and self._alive_at <= now:
            self._notifier.alive()
            self._alive_at = now + (self._notifier.watchdog or 0.0)

    def _time_to_next_deadline(self) -> float | None:
        deadlines = [self._alive_at, self._admin_at, *[slot.due_at for slot in self._all_slots]]
        deadlines += [worker.kill_at for worker in self._workers.values()]
        if self._successor_ends:
            deadlines.append(self._successor_kill_at)
        if not self._stopping:
            deadlines += next_check(self._serving(), self._config.timeout_worker)
        known = [deadline for deadline in deadlines if deadline is not None]
        if not known:
            return None
        return max(0.0, max(min(known), self._faulty_until) - self._system.now())

    # Starting

    def _keep_certificates(self, *, at_once: bool = False) -> None:
        if self._config.ssl_certfile is not None:  # plain HTTP has no use for the module
            from katana_asgi.net.tls_prepared import keep_up

            keep_up(self._config, self._directory, at_once=at_once)

    def _start(self, slot: Slot) -> None:
        config = self._config if slot.worker is None else self._changes.config
        slot.start_at = None  # whatever comes: not again in the next turn
        self._keep_certificates(at_once=True)
        try:
            entry = slot.entry or self._entry
            share = self._share(slot, config)
            if share is not None:
                entry = partial(run_worker, share=share)
            release = partial(self._release_in_child, slot, share)
            pid, channel = self._system.fork(entry, config, slot, self._directory, release)
        except OSError as error:
            self._not_started(slot, config, reason_of(error))
            return
        now = self._system.now()
        worker = self._workers[pid] = WorkerProcess(self._system, slot, pid, channel, config, now)
        worker.generation = self._changes.generation_of(config)
        slot.take(worker)
        timeout = config.timeout_startup
        if timeout > 0:
            worker.must_end_by(now + timeout, f"not ready within {timeout:g} s")
        self._selector.register(channel, selectors.EVENT_READ, partial(self._on_channel, worker))
        logger.info("Started %s", worker)

    def _not_started(self, slot: Slot, config: Config, reason: str) -> None:
        """The system has no process to give."""
        what = f"{slot.name.capitalize()} cannot be started: {reason}"
        if slot.worker is not None:
            self._no_successor(slot, config, what)
        elif slot.was_ready:
            self._try_again(slot, 0.0, what)
        else:
            raise StartupError(f"cannot start a worker process: {reason}")

    def _share(self, slot: Slot, config: Config) -> Share | None:
        """What the next worker of a slot shares with the others. Raises ``OSError``."""
        if config.balance == "off" or slot.entry is not None or self._entry is not run_worker:
            return None
        if self._links is None and len(self._slots) > 1:
            self._links = _links(len(self._slots))
        if self._links is None:
            return None
        neighbours = {
            each.number: [sock for sock in each.sockets if sock not in slot.sockets]
            for each in self._slots
            if each is not slot
        }
        try:
            return self._links.share(slot.number, neighbours)
        except IndexError:
            return None  # more workers than rows: this one is on its own

    def _release_in_child(self, slot: Slot, share: Share | None) -> None:
        """Close what a new worker has no use for.

        Above all the channels: a worker learns of the supervisor's death by end of file,
        which does not come while a sibling has a copy of the supervisor's end.
        """
        self._signals.close_in_child()
        self._notifier.close()
        for worker in self._workers.values():
            worker.channel.close()
        if self._predecessor is not None:
            self._predecessor.close()
        self._forget_upgrade()
        if self._links is not None:
            self._links.close_but(share)
        kept = list(slot.sockets)
        if share is not None:
            for sockets in share.neighbours.values():
                kept += sockets
        for other in self._all_slots:
            for sock in other.sockets:
                if sock not in kept:
                    sock.close()

    # What workers say

    def _on_channel(self, worker: WorkerProcess) -> None:
        if worker.pid not in self._workers:
            return  # waited for since the selector returned
        for message in worker.channel.receive():
            self._on_message(worker, message)
        if worker.channel.closed:
            self._unwatch(worker)
            worker.must_end_by(self._system.now() + EXIT_GRACE, "silent, but did not end")

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        now = worker.heard_at = self._system.now()
        slot = worker.slot
        match message["type"]:
            case "ready" if not self._stopping and worker.awaited:
                worker.became_ready(now)
                logger.info("%s is ready after %.1f s", capital(worker), now - worker.started_at)
                if slot.entry is not None:
                    return
                if worker is slot.successor and (before := slot.hand_over()) is not None:
                    self._stop_workers([before])
                self._config = self._changes.adopt(worker.config)
                self._announce(slot, message)
            case "failed":
                worker.status = _status(message.get("status"))
                worker.reason = str(message.get("reason", "no reason given"))
                worker.must_end_by(now + EXIT_GRACE, "failed, but did not end")
            case "retiring" if not self._stopping and worker is slot.worker:
                reason = message.get("reason", "no reason given")
                logger.info(
                    "%s retires after %.1f s: %s", capital(worker), now - worker.started_at, reason
                )
                worker.retiring = True
                if slot.successor is None and slot in self._slots:
                    slot.start_at = now
            case "heartbeat":
                worker.heartbeat = message
                worker.blocked = False
            case "invalidate":
                for other in self._workers.values():
                    if other is not worker:
                        other.channel.send(message)
            case "metrics" if self._admin is not None:
                self._admin.pass_on(worker, message)

    def _announce(self, slot: Slot, message: Message) -> None:
        if not self._announced:
            self._announced = True
            count = len(self._slots)
            words = [f"{count} worker{'s' if count > 1 else ''}"]
            words += [str(message[key]) for key in ("loop", "parser") if key in message]
            if self._config.port_variable:
                words.append(f"port of {self._config.port_variable}")
            places = [describe(sock, self._config.scheme) for sock in slot.own]
            for where in places:
                logger.info("Listening on %s (%s), CTRL+C to stop", where, ", ".join(words))
            self._status_line = f"Listening on {', '.join(places)}"
            if self._predecessor is None:
                self._notifier.ready(self._status_line)
        if not self._complete and all(each.was_ready for each in self._slots):
            self._complete = True
            if self._predecessor is not None:
                try:
                    write_pid_file(self._config.pid_file)
                except StartupError as error:
                    logger.error("%s", error)
                self._predecessor.relieve()
                self._predecessor = None
                self._notifier.ready(self._status_line)
                if self._config.admin_bind:
                    self._admin_at = self._system.now() + 1.0

    def _serving(self) -> list[WorkerProcess]:
        """The workers that are ready and have not been told to end."""
        return [
            slot.worker
            for slot in self._slots
            if slot.worker is not None and slot.worker.ready_at is not None
        ]

    def _leave_nothing(self) -> None:
        """End what still runs, which after an orderly stop is nothing, and close everything."""
        for worker in self._workers.values():
            worker.kill()
        for worker in list(self._workers.values()):
            worker.wait(block=True)
            self._forget(worker)
        for slot in self._slots:
            for sock in slot.sockets:
                if self._relieved or self._predecessor is not None:
                    sock.close()  # another supervisor serves on it
                else:
                    remove_unix_socket(sock)
        if self._admin is not None:
            remove_unix_socket(self._admin.own[0])
        remove_pid_file(self._config.pid_file)
        if self._links is not None:
            self._links.close()
        if self._predecessor is not None:
            self._predecessor.close()
        self._selector.close()
        self._notifier.close()


def _links(count: int, inherited: Sequence[int] = ()) -> Links | None:
    """What workers need to balance, where the system has it."""
    try:
        return Links(count, inherited)
    except (OSError, AttributeError) as error:
        logger.warning("The load of workers is not balanced: %s", error)
        return None


def _status(value: object) -> int:
    """Take an exit status from a message; what is none becomes 1, as does success."""
    return value if isinstance(value, int) and 0 < value < 256 else 1
