"""The parent process of a service: starts workers, watches them, replaces them, ends them.

One thread, one loop over descriptors and deadlines. It owns the listening sockets and, unless
it is told to preload, never imports the application, so that no fault of one can reach it.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError
from katana_asgi.net.inherited import own_unix_file
from katana_asgi.net.notify import Notifier
from katana_asgi.net.sockets import bind_sockets, describe, remove_unix_socket
from katana_asgi.supervisor.backoff import RETRY, STABLE_AFTER
from katana_asgi.supervisor.changes import Changes
from katana_asgi.supervisor.fork import fork_worker, preload, run_worker
from katana_asgi.supervisor.heartbeat import look_at_heartbeats, next_look
from katana_asgi.supervisor.identity import remove_pid_file, set_title, write_pid_file
from katana_asgi.supervisor.orders import Orders
from katana_asgi.supervisor.signals import SignalWatch
from katana_asgi.supervisor.slot import Slot, WorkerProcess, describe_end
from katana_asgi.supervisor.upgrade import Predecessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.worker.channel import Message

__all__ = ["Supervisor"]

SHUTDOWN_GRACE: Final = 5.0
"""Seconds a worker gets on top of its budgets, to unwind and for its exit functions, before it
is killed."""

QUICK_GRACE: Final = 3.0
"""Seconds a worker gets to end when it is told to end at once."""

EXIT_GRACE: Final = 5.0
"""Seconds a worker gets to end after it said that it failed or closed its channel."""

logger = logging.getLogger("katana_asgi.error")


class Supervisor(Orders):
    """Runs ``config.workers`` worker processes until it is told to stop.

    ``entry`` is what a worker runs, by default ``katana_asgi.worker.worker.run_worker``.
    ``reload`` reads the settings again for SIGHUP; without it they stay as they are.
    """

    def __init__(
        self,
        config: Config,
        entry: Entry | None = None,
        reload: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._entry = run_worker if entry is None else entry
        self._directory = os.getcwd()
        self._slots: list[Slot] = []
        self._workers: dict[int, WorkerProcess] = {}
        self._changes = Changes(config, self._slots, reload)
        self._predecessor: Predecessor | None = None
        self._announced = False
        self._notifier = Notifier()
        self._alive_at = time.monotonic() if self._notifier.watchdog else None
        self._complete = False
        self._status = 0
        super().__init__()

    @property
    def _budget(self) -> float:
        """Seconds that a worker may take to drain and end."""
        config = self._config
        http = config.timeout_graceful_shutdown
        longest = max(http, config.timeout_stream_shutdown)
        return longest + config.timeout_lifespan_shutdown + SHUTDOWN_GRACE

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
            raise StartupError("more than one worker needs POSIX")
        self._selector = selectors.PollSelector()  # has no descriptor that a fork would share
        with SignalWatch() as self._signals:
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
        now = time.monotonic()
        if predecessor is None:
            sockets = bind_sockets(config, config.workers)
            write_pid_file(config.pid_file)  # not before it is clear that no other runs here
            self._slots += [Slot(number, sock, now) for number, sock in enumerate(sockets, 1)]
        else:
            for sock in predecessor.sockets:
                own_unix_file(sock)
            self._slots += [
                Slot(number, sock, now) for number, sock in enumerate(predecessor.sockets, 1)
            ]
        self._changes.resize(config.workers)  # one slot may have several sockets
        logger.info("Started supervisor [%d]", os.getpid())
        set_title("supervisor")
        if config.preload:
            preload(config)

    def _watch(self) -> None:
        while True:
            now = time.monotonic()
            if not self._stopping:
                self._stop_workers(self._changes.go_on(now))
            for slot in self._slots:
                if slot.due_at is not None and slot.due_at <= now:
                    self._start(slot)
            if self._stopping and not self._workers:
                return
            for key, _ in self._selector.select(self._time_to_next_deadline()):
                key.data()
            self._kill_overdue()
            if not self._stopping:
                limit = self._config.timeout_worker
                look_at_heartbeats(self._serving(), limit, time.monotonic())
            self._tell_alive()

    def _tell_alive(self) -> None:
        now = time.monotonic()
        if self._alive_at is not None and self._alive_at <= now:
            self._notifier.alive()
            self._alive_at = now + (self._notifier.watchdog or 0.0)

    def _time_to_next_deadline(self) -> float | None:
        deadlines = [self._alive_at, *[slot.due_at for slot in self._slots]]
        deadlines += [worker.kill_at for worker in self._workers.values()]
        deadlines += next_look(self._serving(), self._config.timeout_worker)
        known = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    # Starting

    def _start(self, slot: Slot) -> None:
        config = self._config if slot.worker is None else self._changes.config
        try:
            pid, channel = fork_worker(
                self._entry,
                config,
                slot.sockets,
                slot.number,
                partial(self._release_in_child, slot),
            )
        except OSError as error:
            slot.start_at = None
            if not slot.was_ready:
                raise StartupError(f"cannot start a worker process: {error}") from error
            self._try_again(slot, 0.0, f"Worker {slot.number} cannot be started: {error}")
            return
        now = time.monotonic()
        worker = self._workers[pid] = WorkerProcess(slot, pid, channel, config, now)
        worker.generation = self._changes.generation_of(config)
        slot.take(worker)
        timeout = config.timeout_startup
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
        if self._predecessor is not None:
            self._predecessor.close_in_child()
        self._forget_upgrade()
        for other in self._slots:
            for sock in other.sockets:
                if sock not in slot.sockets:
                    sock.close()

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
        now = worker.heard_at = time.monotonic()
        slot = worker.slot
        match message["type"]:
            case "ready" if not self._stopping and worker.ready_at is None:
                worker.became_ready(now)
                logger.info("%s is ready after %.1f s", _capital(worker), now - worker.started_at)
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
                    "%s retires after %.1f s: %s", _capital(worker), now - worker.started_at, reason
                )
                worker.retiring = True
                if slot.successor is None and slot in self._slots:
                    slot.start_at = now
            case "heartbeat":
                worker.heartbeat = message
                worker.blocked = False

    def _announce(self, slot: Slot, message: Message) -> None:
        if not self._announced:
            self._announced = True
            words = [f"{len(self._slots)} workers"]
            words += [str(message[key]) for key in ("loop", "parser") if key in message]
            where = describe(slot.sock, self._config.scheme)
            logger.info("Listening on %s (%s), CTRL+C to stop", where, ", ".join(words))
            self._notifier.ready(f"Listening on {where}")
        if not self._complete and all(each.was_ready for each in self._slots):
            self._complete = True
            if self._predecessor is not None:
                write_pid_file(self._config.pid_file)
                self._predecessor.relieve()
                self._predecessor = None

    def _serving(self) -> list[WorkerProcess]:
        """The workers that are ready and have not been told to end."""
        return [
            slot.worker
            for slot in self._slots
            if slot.worker is not None and slot.worker.ready_at is not None
        ]

    # Ends

    def _stop_workers(self, workers: list[WorkerProcess]) -> None:
        """Have workers drain of which the sockets are in other hands."""
        for worker in workers:
            worker.tell_stop("handover")
            when = time.monotonic() + self._budget
            worker.must_end_by(when, f"not drained within {self._budget:g} s")

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            code = worker.wait()
            if code is not None:
                self._on_channel(worker)  # its last words
                self._forget(worker)
                self._on_end(worker, code)
        self._reap_others()

    def _on_end(self, worker: WorkerProcess, code: int) -> None:
        slot = worker.slot
        now = time.monotonic()
        if self._stopping or worker in slot.leaving or slot not in self._slots:
            slot.leaving.discard(worker)
            level = logging.INFO if self._stopping or code == 0 else logging.ERROR
            logger.log(level, "%s ended (%s)", _capital(worker), describe_end(code))
            return
        if worker.ready_at is not None:
            lived = now - worker.started_at
            what = f"{_capital(worker)} died ({describe_end(code)}) after {lived:.1f} s"
        else:
            what = f"{_capital(worker)} failed to start: {worker.reason or describe_end(code)}"
        if worker is slot.successor:
            slot.successor = None
            logger.error("%s; %s goes on serving", what, slot.worker)
            self._changes.failed(worker)
            if slot.worker is not None and slot.worker.retiring:
                slot.start_at = now + RETRY
            return
        slot.worker, slot.successor = slot.successor, None
        if worker.retiring and code == 0:
            logger.info("%s ended (%s)", _capital(worker), describe_end(code))
            slot.backoff.retired()
            if slot.worker is None and slot.start_at is None:
                slot.start_at = now
        elif slot.worker is not None:
            logger.error("%s; %s takes its place", what, slot.worker)
        elif slot.was_ready:
            self._try_again(slot, worker.ready_for(now), what)
        else:
            logger.error("%s", what)
            self._stop(worker.status or max(code, 0) or 1)

    def _try_again(self, slot: Slot, ready_for: float, what: str) -> None:
        delay = slot.backoff.died(ready_for)
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

    def _stop(self, status: int, farewell: str = "prompt", *, quick: bool = False) -> None:
        """Have every worker stop, once; ``_watch`` returns when the last has ended.

        Our copies of the sockets close: a queue that outlived the workers would take
        connections that nobody serves.
        """
        if self._stopping:
            return
        self._stopping = True
        self._status = status
        if not self._relieved:
            self._notifier.stopping()
        for slot in self._slots:
            slot.start_at = None
            for sock in slot.sockets:
                sock.close()
        budget = QUICK_GRACE if quick else self._budget
        if farewell == "notice":
            budget += self._config.shutdown_delay
        deadline = time.monotonic() + budget
        for worker in self._workers.values():
            worker.tell_stop(farewell, quick=quick)
            worker.must_end_by(deadline, f"not stopped within {budget:g} s")

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
        for slot in self._slots:
            for sock in slot.sockets:
                if self._relieved:
                    sock.close()
                else:
                    remove_unix_socket(sock)
        remove_pid_file(self._config.pid_file)
        self._selector.close()
        self._notifier.close()


def _capital(worker: WorkerProcess) -> str:
    return str(worker).capitalize()


def _status(value: object) -> int:
    """Take an exit status from a message; what is none becomes 1, as does success."""
    return value if isinstance(value, int) and 0 < value < 256 else 1
