"""The parent process of a service: starts workers, watches them, replaces them, ends them.

One thread, one loop over descriptors and deadlines. It owns the listening sockets and never
imports the application, so that no fault of an application can reach it.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError
from katana_asgi.net.notify import Notifier
from katana_asgi.net.sockets import bind_sockets, describe, remove_unix_socket
from katana_asgi.observe.logs import reopen_logs
from katana_asgi.supervisor.admin import AdminSlot
from katana_asgi.supervisor.backoff import STABLE_AFTER
from katana_asgi.supervisor.fork import fork_worker, run_worker
from katana_asgi.supervisor.signals import SignalWatch, describe_signal
from katana_asgi.supervisor.slot import Slot, WorkerProcess, describe_end

if TYPE_CHECKING:
    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.worker.channel import Message

__all__ = ["Supervisor"]

SHUTDOWN_GRACE: Final = 5.0
"""Seconds a worker gets on top of the graceful budget, for lifespan shutdown and its exit
functions, before it is killed."""

EXIT_GRACE: Final = 5.0
"""Seconds a worker gets to end after it said that it failed or closed its channel."""

logger = logging.getLogger("katana_asgi.error")


class Supervisor:
    """Runs ``config.workers`` worker processes until it is told to stop.

    ``entry`` is what a worker runs, by default ``katana_asgi.worker.worker.run_worker``.
    """

    def __init__(self, config: Config, entry: Entry | None = None) -> None:
        self._config = config
        self._entry = run_worker if entry is None else entry
        self._budget = config.timeout_graceful_shutdown + SHUTDOWN_GRACE
        self._slots: list[Slot] = []
        self._admin: AdminSlot | None = None  # ... and that of the admin listener, if any
        self._workers: dict[int, WorkerProcess] = {}
        self._stop_signals = 0
        self._stopping = False
        self._announced = False
        self._notifier = Notifier()
        self._alive_at = time.monotonic() if self._notifier.watchdog else None
        self._status = 0

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT or a failure; no child is left when it returns or raises.

        Returns the exit status: 0 after a requested stop, also where a worker had to be killed
        for being late; 128 plus the signal's number after a second signal, which kills the
        workers at once; the worker's own status (1 import error, 3 lifespan startup failed)
        where one fails at the first start; 1 after a crash loop.

        Raises ``StartupError`` where an address cannot be bound, a process cannot be started,
        the system has no ``fork`` or this is not the main thread.
        """
        if not hasattr(os, "fork"):
            raise StartupError("more than one worker needs POSIX")
        self._selector = selectors.PollSelector()  # has no descriptor that a fork would share
        with SignalWatch() as self._signals:
            self._selector.register(self._signals, selectors.EVENT_READ, self._on_signals)
            try:
                sockets = bind_sockets(self._config, self._config.workers)
                now = time.monotonic()
                self._slots = [Slot(number, sock, now) for number, sock in enumerate(sockets, 1)]
                if self._config.admin_bind:
                    self._admin = AdminSlot(self._config, now)
                    logger.info("Admin listener on %s", describe(self._admin.sock))
                logger.info("Started supervisor [%d]", os.getpid())
                self._watch()
                logger.info("Stopped supervisor [%d]", os.getpid())
            finally:
                self._leave_nothing()
        return self._status

    @property
    def _all_slots(self) -> list[Slot]:
        return self._slots if self._admin is None else [*self._slots, self._admin]

    def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for slot in self._all_slots:
                if slot.due_at is not None and slot.due_at <= now:
                    self._start(slot)
            if self._stopping and not self._workers:
                return
            for key, _ in self._selector.select(self._time_to_next_deadline()):
                key.data()
            self._kill_overdue()
            self._tell_alive()

    def _tell_alive(self) -> None:
        now = time.monotonic()
        if self._alive_at is not None and self._alive_at <= now:
            self._notifier.alive()
            self._alive_at = now + (self._notifier.watchdog or 0.0)

    def _time_to_next_deadline(self) -> float | None:
        deadlines = [self._alive_at, *[slot.due_at for slot in self._all_slots]]
        deadlines += [worker.kill_at for worker in self._workers.values()]
        known = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    # Starting

    def _start(self, slot: Slot) -> None:
        slot.start_at = None
        try:
            pid, channel = fork_worker(
                slot.entry or self._entry,
                self._config,
                slot.sock,
                partial(self._release_in_child, slot),
            )
        except OSError as error:
            if not slot.was_ready:
                raise StartupError(f"cannot start a worker process: {error}") from error
            self._try_again(slot, 0.0, f"Worker {slot.number} cannot be started: {error}")
            return
        now = time.monotonic()
        worker = slot.worker = self._workers[pid] = WorkerProcess(slot, pid, channel, now)
        timeout = self._config.timeout_startup
        if timeout > 0:
            worker.must_end_by(now + timeout, f"not ready within {timeout:g} s")
        self._selector.register(channel, selectors.EVENT_READ, partial(self._on_channel, worker))
        logger.info("Started %s", worker)

    def _release_in_child(self, slot: Slot) -> None:
        """Close what a new worker has no use for.

        Above all the channels: a worker learns of the supervisor's death by end of file,
        which does not come while a sibling has a copy of the supervisor's end.
        """
        self._signals.close_in_child()
        self._notifier.close()
        for worker in self._workers.values():
            worker.channel.close()
        for other in self._all_slots:
            if other.sock is not slot.sock:
                other.sock.close()

    # What workers say

    def _on_channel(self, worker: WorkerProcess) -> None:
        if worker.pid not in self._workers:
            return  # waited for since the selector returned
        for message in worker.channel.receive():
            self._on_message(worker, message)
        if worker.channel.closed:
            self._unwatch(worker)
            worker.must_end_by(time.monotonic() + EXIT_GRACE, "silent, but did not end")

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        now = time.monotonic()
        match message["type"]:
            case "ready" if not self._stopping and worker.ready_at is None:
                worker.became_ready(now)
                logger.info("%s is ready after %.1f s", _capital(worker), now - worker.started_at)
                if worker.slot is not self._admin:
                    self._announce(worker.slot)
            case "failed":
                worker.status = _status(message.get("status"))
                worker.reason = str(message.get("reason", "no reason given"))
                worker.must_end_by(now + EXIT_GRACE, "failed, but did not end")
            case "retiring" if not self._stopping and worker is worker.slot.worker:
                worker.slot.retire(now)
                worker.must_end_by(now + self._budget, f"not drained within {self._budget:g} s")
                logger.info("%s retires after %.1f s", _capital(worker), now - worker.started_at)
            case "heartbeat":
                worker.heartbeat = message
            case "metrics" if self._admin is not None:
                self._admin.pass_on(worker, message)

    def _announce(self, slot: Slot) -> None:
        if not self._announced:
            self._announced = True
            count = len(self._slots)
            where = describe(slot.sock, self._config.scheme)
            logger.info("Listening on %s (%d workers), CTRL+C to stop", where, count)
            self._notifier.ready(f"Listening on {where}")

    # Ends

    def _on_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGCHLD:
                self._reap()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._on_stop_signal(number)
            elif number == signal.SIGUSR1:
                self._reopen_logs()

    def _reopen_logs(self) -> None:
        """The log files were moved away: open them anew, here and in every worker."""
        reopen_logs()  # here too: a worker to come inherits them
        for worker in self._workers.values():
            worker.channel.send({"type": "reopen"})
        logger.info("Received SIGUSR1, log files reopened")

    def _on_stop_signal(self, number: int) -> None:
        self._stop_signals += 1
        name = describe_signal(number)
        if self._stop_signals > 1:
            logger.warning("Received %s again, killing the workers", name)
            self._status = self._status or 128 + number
            for worker in self._workers.values():
                worker.kill()
        elif not self._stopping:
            logger.info("Received %s, stopping", name)
            self._stop(0)

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            code = worker.wait()
            if code is not None:
                self._on_channel(worker)  # its last words
                self._forget(worker)
                self._on_end(worker, code)

    def _on_end(self, worker: WorkerProcess, code: int) -> None:
        slot = worker.slot
        now = time.monotonic()
        if self._stopping or worker in slot.leaving:
            slot.leaving.discard(worker)
            level = logging.INFO if self._stopping or code == 0 else logging.ERROR
            logger.log(level, "%s ended (%s)", _capital(worker), describe_end(code))
            return
        slot.worker = None
        if worker.ready_at is not None:
            lived = now - worker.started_at
            what = f"{_capital(worker)} died ({describe_end(code)}) after {lived:.1f} s"
        else:
            what = f"{_capital(worker)} failed to start: {worker.reason or describe_end(code)}"
        if slot.was_ready:
            self._try_again(slot, worker.ready_for(now), what)
        else:
            logger.error("%s", what)
            self._stop(worker.status or max(code, 0) or 1)

    def _try_again(self, slot: Slot, ready_for: float, what: str) -> None:
        delay = slot.backoff.died(ready_for)
        if delay is None and slot is self._admin:
            logger.error("%s; going on without the admin listener", what)
            return
        if self._admin is not None and slot is not self._admin:
            self._admin.restarts += 1
        if delay is None:
            logger.error("%s", what)
            logger.critical(
                "Giving up: worker %d ended %d times in a row and was never ready for %g s",
                slot.number,
                slot.backoff.deaths,
                STABLE_AFTER,
            )
            self._stop(1)
            return
        slot.start_at = time.monotonic() + delay
        logger.error("%s; replacing it %s", what, f"in {delay:g} s" if delay else "now")

    def _stop(self, status: int) -> None:
        """Have every worker stop, once; ``_watch`` returns when the last has ended."""
        if self._stopping:
            return
        self._stopping = True
        self._status = status
        self._notifier.stopping()
        for slot in self._all_slots:
            slot.start_at = None
        deadline = time.monotonic() + self._budget
        if self._admin is not None:
            self._admin.stopping(self._workers.values())
        for worker in self._workers.values():
            if worker.slot is not self._admin:
                worker.tell_stop()
            worker.must_end_by(deadline, f"not stopped within {self._budget:g} s")

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.kill_at is not None and worker.kill_at <= now:
                logger.warning("Killing %s: %s", worker, worker.complaint)
                worker.reason = worker.reason or worker.complaint
                worker.kill()

    def _forget(self, worker: WorkerProcess) -> None:
        del self._workers[worker.pid]
        self._unwatch(worker)
        worker.channel.close()
        if self._admin is not None:
            self._admin.ended(worker)
            if self._stopping:
                self._admin.stopping(self._workers.values())

    def _unwatch(self, worker: WorkerProcess) -> None:
        with suppress(KeyError):
            self._selector.unregister(worker.channel)

    def _leave_nothing(self) -> None:
        """End what still runs, which after an orderly stop is nothing, and close everything."""
        for worker in self._workers.values():
            worker.kill()
        for worker in list(self._workers.values()):
            worker.wait(block=True)
            self._forget(worker)
        for slot in self._all_slots:
            remove_unix_socket(slot.sock)
        self._selector.close()
        self._notifier.close()


def _capital(worker: WorkerProcess) -> str:
    return str(worker).capitalize()


def _status(value: object) -> int:
    """Take an exit status from a message; what is none becomes 1, as does success."""
    return value if isinstance(value, int) and 0 < value < 256 else 1
