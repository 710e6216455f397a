"""What the supervisor is told by signals, and the new supervisor that SIGUSR2 asks for."""

from __future__ import annotations

import logging
import os
import selectors
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from katana_asgi.net.redirect_sockets import redirects_to_hand_on
from katana_asgi.observe.descriptor import terminal_is_gone
from katana_asgi.observe.logs import reopen_logs
from katana_asgi.supervisor.signals import describe_signal
from katana_asgi.worker.channel import ONE_STOP, ShutdownMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.net.notify import Notifier
    from katana_asgi.supervisor.changes import Changes
    from katana_asgi.supervisor.signals import SignalWatch
    from katana_asgi.supervisor.slot import Slot, WorkerProcess
    from katana_asgi.supervisor.system import System
    from katana_asgi.worker.channel import Channel

__all__ = ["Orders"]

logger = logging.getLogger("katana_asgi.error")


class Orders:
    """The signals' side of a supervisor."""

    _system: System
    _signals: SignalWatch
    _selector: selectors.BaseSelector
    _slots: list[Slot]
    _workers: dict[int, WorkerProcess]
    _changes: Changes
    _notifier: Notifier
    _directory: str
    _status: int

    def __init__(self) -> None:
        self._stopping = False
        self._stop_signals = 0
        self._last_stop = (0, 0.0)
        self._upgrade: tuple[int, Channel] | None = None
        self._stopped_successor = 0  # the process that was to follow, told to end with this one
        self._successor_kill_at = 0.0
        self._children: set[int] = set()  # that are no workers, to be waited for
        self._reloading = False  # and the service manager has been told
        self._relieved = False  # another supervisor has the sockets

    def _stop(
        self, status: int, mode: ShutdownMode = ShutdownMode.PROMPT, *, quick: bool = False
    ) -> None:
        raise NotImplementedError

    @property
    def _linked(self) -> list[int]:
        raise NotImplementedError

    def _step(self, step: Callable[..., None], *arguments: Any) -> None:
        raise NotImplementedError

    def _reap(self) -> None:
        raise NotImplementedError

    def _on_signals(self) -> None:
        for number in self._signals.read():
            self._step(self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP and not self._signals.hangup_ignored and terminal_is_gone():
            number = signal.SIGTERM  # the end of the terminal, as for any program
        if number == signal.SIGCHLD:
            self._reap()
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._on_stop_signal(number)
        elif not self._stopping:
            self._on_order(number)

    def _on_stop_signal(self, number: int) -> None:
        now = self._system.now()
        last, self._last_stop = self._last_stop, (number, now)
        if last[0] == number and now - last[1] < ONE_STOP:
            return
        self._stop_signals += 1
        name = describe_signal(number)
        if self._stop_signals > 1:
            logger.warning("Received %s again, killing the workers", name)
            self._status = self._status or 128 + number
            self._stop_successor(number)
            for worker in self._workers.values():
                worker.kill()
        elif not self._stopping:
            quick = number == signal.SIGQUIT
            logger.info("Received %s, stopping%s", name, " at once" if quick else "")
            notice = number == signal.SIGTERM
            mode = ShutdownMode.NOTICE if notice else ShutdownMode.PROMPT
            self._stop_successor(number)
            self._stop(0, mode, quick=quick)

    def _on_order(self, number: int) -> None:
        logger.info("Received %s", describe_signal(number))
        if number == signal.SIGHUP:
            self._notifier.reloading()
            self._reloading = True  # until it is over, also where it was refused
            self._changes.reload(self._system.now())
        elif number == signal.SIGTTIN:
            self._changes.more()
        elif number == signal.SIGTTOU:
            self._changes.fewer()
        elif number == signal.SIGUSR1:
            reopen_logs()  # here too: a worker to come inherits them
            for worker in self._workers.values():
                worker.channel.send({"type": "reopen"})
            logger.info("All log files reopened")
        elif number == signal.SIGUSR2:
            self._start_upgrade()

    # Another supervisor

    def _start_upgrade(self) -> None:
        if self._upgrade is not None:
            logger.warning("A new supervisor is starting already")
            return
        shared = redirects_to_hand_on()
        sockets = list(dict.fromkeys(sock for slot in self._slots for sock in slot.sockets))
        try:
            pid, channel = self._upgrade = self._system.execute(
                sockets, shared, self._linked, self._directory
            )
        except OSError as error:
            logger.error("Cannot start a new supervisor: %s", error)
            return
        self._children.add(pid)
        self._selector.register(channel, selectors.EVENT_READ, self._on_upgrade)
        logger.info("Started a new supervisor [%d] on the same sockets", pid)

    def _on_upgrade(self) -> None:
        if self._upgrade is None:
            return
        pid, channel = self._upgrade
        ready = any(message["type"] == "ready" for message in channel.receive())
        if ready and not self._stopping:
            logger.info("The new supervisor [%d] is ready, stopping", pid)
            self._relieved = True
            self._notifier.succeeded_by(pid)
            self._forget_upgrade()
            self._stop(0, ShutdownMode.HANDOVER)
        elif channel.closed:
            logger.error("The new supervisor [%d] failed to start; this one goes on", pid)
            self._forget_upgrade()

    @property
    def _successor_ends(self) -> bool:
        """Whether there is a new supervisor that was told to stop and has not ended."""
        return self._stopped_successor in self._children

    def _stop_successor(self, number: int) -> None:
        """Stop a new supervisor that has not taken over yet: what was asked for is the end."""
        if self._upgrade is not None:
            self._stopped_successor = self._upgrade[0]
            self._forget_upgrade()
        if self._successor_ends:
            self._system.signal(self._stopped_successor, number)

    def _forget_upgrade(self) -> None:
        if self._upgrade is not None:
            channel = self._upgrade[1]
            with suppress(KeyError, ValueError):
                self._selector.unregister(channel)
            channel.close()
            self._upgrade = None

    def _reap_others(self) -> None:
        """Wait for children that are no workers: new supervisors that have failed, and orphans."""
        for pid in self._children.copy():
            if self._system.wait(pid) is not None:
                self._children.discard(pid)
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        """As process 1 of a container, wait for what others have left behind."""
        with suppress(ChildProcessError):
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid in self._workers:
                    return  # a worker that ended just now has a SIGCHLD of its own
                os.waitpid(ended.si_pid, 0)
