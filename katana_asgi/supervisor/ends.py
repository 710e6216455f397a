"""How workers end: told to, by themselves, or killed for being late; and what follows from it."""

from __future__ import annotations

import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.supervisor.backoff import RETRY, STABLE_AFTER
from katana_asgi.supervisor.orders import Orders
from katana_asgi.supervisor.slot import describe_end
from katana_asgi.worker.channel import ShutdownMode

if TYPE_CHECKING:
    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.admin import AdminSlot
    from katana_asgi.supervisor.slot import Slot, WorkerProcess

__all__ = ["Ends", "capital"]

QUICK_GRACE: Final = 3.0
"""Seconds a worker gets to end when it is told to end at once."""

NEVER: Final = float("inf")

logger = logging.getLogger("katana_asgi.error")


class Ends(Orders):
    """The part of a supervisor that sees to ends."""

    _config: Config
    _admin: AdminSlot | None

    @property
    def _budget(self) -> float:
        raise NotImplementedError

    @property
    def _all_slots(self) -> list[Slot]:
        raise NotImplementedError

    def _on_channel(self, worker: WorkerProcess) -> None:
        raise NotImplementedError

    def _stop_workers(self, workers: list[WorkerProcess]) -> None:
        """Have workers drain of which the sockets are in other hands."""
        for worker in workers:
            worker.tell_stop(ShutdownMode.HANDOVER)
            when = self._system.now() + self._budget
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
        now = self._system.now()
        if self._stopping or worker in slot.leaving or slot not in self._all_slots:
            slot.forget(worker)
            told = self._stopping or code in (0, -signal.SIGTERM)
            level = logging.INFO if told else logging.ERROR
            logger.log(level, "%s ended (%s)", capital(worker), describe_end(code))
            return
        if worker.ready_at is not None:
            lived = now - worker.started_at
            what = f"{capital(worker)} died ({describe_end(code)}) after {lived:.1f} s"
        else:
            what = f"{capital(worker)} failed to start: {worker.reason or describe_end(code)}"
        if worker is slot.successor:
            slot.successor = None
            self._no_successor(slot, worker.config, what)
            return
        slot.worker, slot.successor = slot.successor, None
        if worker.retiring and code == 0:
            logger.info("%s ended (%s)", capital(worker), describe_end(code))
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

    def _no_successor(self, slot: Slot, config: Config, what: str) -> None:
        """The worker of a slot stays, as what was to follow it with ``config`` has failed."""
        logger.error("%s; %s goes on serving", what, slot.worker)
        self._changes.failed(config)
        if slot.worker is not None and slot.worker.retiring:
            slot.start_at = self._system.now() + RETRY

    def _try_again(self, slot: Slot, ready_for: float, what: str) -> None:
        delay = slot.backoff.died(ready_for)
        if delay is None and slot is not self._admin and self._others_serve(slot, ready_for):
            delay = RETRY
        if delay is None and slot is self._admin:
            logger.error("%s; going on without the admin listener", what)
            return
        if self._admin is not None and slot is not self._admin:
            self._admin.restarts += 1
        if delay is None:
            logger.error("%s", what)
            logger.critical(
                "Giving up: %s ended %d times in a row and was never ready for %g s",
                slot.name,
                slot.backoff.deaths,
                STABLE_AFTER,
            )
            self._stop(1)
            return
        slot.start_at = self._system.now() + delay
        logger.error("%s; replacing it %s", what, f"in {delay:g} s" if delay else "now")

    def _others_serve(self, slot: Slot, ready_for: float) -> bool:
        """Whether the service is worth more than the end that a crash loop of ``slot`` would be.

        A start that fails says nothing against workers that serve, such as those an operator has
        asked for more of. Workers that become ready and die may have met what ends all of them:
        then others count only when they are stable.
        """
        now = self._system.now()
        least = STABLE_AFTER if ready_for else 0.0
        ready = [each.worker for each in self._slots if each.worker and each.worker.ready_at]
        if any(worker.slot is not slot and worker.ready_for(now) >= least for worker in ready):
            return True
        return not ready_for and not all(each.backoff.exhausted for each in self._slots)

    def _stop(
        self, status: int, mode: ShutdownMode = ShutdownMode.PROMPT, *, quick: bool = False
    ) -> None:
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
        for slot in self._all_slots:
            slot.start_at = None
        for slot in self._slots:
            for sock in slot.sockets:
                sock.close()
        budget = QUICK_GRACE if quick else self._budget
        if mode is ShutdownMode.NOTICE:
            budget += self._config.shutdown_delay
        deadline = self._system.now() + budget
        self._successor_kill_at = deadline + QUICK_GRACE
        if self._upgrade is not None:
            self._stop_successor(signal.SIGTERM)
        if self._admin is not None:
            self._admin.stopping(self._workers.values())
        for worker in self._workers.values():
            if worker.slot is self._admin:  # it is told when the last of the others has ended
                worker.must_end_by(deadline + QUICK_GRACE, "not stopped after the workers")
            else:
                worker.tell_stop(mode, quick=quick)
                worker.must_end_by(deadline, f"not stopped within {budget:g} s")

    def _kill_overdue(self, now: float) -> None:
        for worker in self._workers.values():
            if worker.kill_at is not None and worker.kill_at <= now:
                logger.warning("Killing %s: %s", worker, worker.complaint)
                worker.reason = worker.reason or worker.complaint
                worker.kill()
        if self._successor_ends and self._successor_kill_at <= now:
            logger.warning("Killing the new supervisor [%d]: not stopped", self._stopped_successor)
            self._successor_kill_at = NEVER
            self._system.signal(self._stopped_successor, signal.SIGKILL)

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


def capital(worker: WorkerProcess) -> str:
    """A worker as a sentence begins with it."""
    return str(worker).capitalize()
