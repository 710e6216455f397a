"""What changes while a service runs: its settings and code (SIGHUP), the number of its slots.

One worker at a time: a successor on the same socket has to be ready before the worker before
it drains. Each call of ``go_on`` looks at how things are and takes the next step, so that it
does not matter what died, failed or was recycled in between.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ConfigurationError
from katana_asgi.net.sockets import bind_beside
from katana_asgi.supervisor.slot import Slot

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.slot import WorkerProcess

__all__ = ["Changes"]

FIXED: Final = (
    "bind",
    "host",
    "port",
    "uds",
    "fd",
    "redirect_bind",
    "supervise",
    "preload",
    "pid_file",
    "chdir",
    "umask",
)
"""Settings of the supervisor itself, which a reload leaves as they are."""

logger = logging.getLogger("katana_asgi.error")


class Changes:
    """What is wanted of ``slots``, and how far it has come.

    ``config`` is what the next successor is started with.
    """

    def __init__(
        self, config: Config, slots: list[Slot], reload: Callable[[], Config] | None
    ) -> None:
        self.config = config
        self._adopted = config
        self._slots = slots
        self._reload = reload
        self._generation = 0
        self._rolling = False
        self._surplus: list[Slot] = []  # no longer wanted; their sockets have to be taken over

    @property
    def rolling(self) -> bool:
        """Whether workers are being replaced after a reload."""
        return self._rolling

    def generation_of(self, config: Config) -> int:
        """The number of reloads before a worker that is started with ``config``."""
        return self._generation if config is self.config else -1

    def adopt(self, config: Config) -> Config:
        """A worker is ready with ``config``: it is good; returns what the service has now."""
        if config is self.config:
            self._adopted = config
        return self._adopted

    def reload(self, now: float) -> None:
        """Read the settings again and replace every worker, one after the other."""
        before = self._adopted
        kept = {name: getattr(before, name) for name in FIXED}
        try:
            read = before if self._reload is None else self._reload()
            # A new object even where nothing has changed: it stands for the new generation.
            config = read.replace(**kept)
        except ConfigurationError as error:
            logger.error("Not reloaded, the service goes on as it is: %s", error)
            return
        except Exception:
            logger.exception("Not reloaded, the service goes on as it is")
            return
        changed = [name for name in FIXED if getattr(read, name) != kept[name]]
        if changed:
            logger.warning("A reload does not change %s", ", ".join(changed))
        if config.workers != before.workers:
            self.resize(config.workers)
        for slot in self._slots:
            if slot.waits:  # what kept its worker from starting may have been mended
                slot.start_at = now
        self.config = config
        self._generation += 1
        self._rolling = True
        logger.info("Reloading: %d workers, one after the other", len(self._slots))

    def resize(self, count: int) -> None:
        """Add or take away slots until there are ``count``."""
        while len(self._slots) < count and self.more():
            pass
        while len(self._slots) > count and self.fewer():
            pass

    def more(self) -> bool:
        """Add a slot; whether that was possible."""
        first = self._slots[0]
        number = max(each.number for each in (*self._slots, *self._surplus)) + 1
        try:
            own = [_spare(first, sock) or bind_beside(sock) for sock in first.own]
        except OSError as error:
            logger.error("Cannot add a worker: %s", error)
            return False
        self._slots.append(Slot(number, own, 0.0))
        self._slots[-1].was_ready = any(each.was_ready for each in self._slots)
        return True

    def fewer(self) -> bool:
        """Take the last slot away; whether there was one to spare.

        What waits in the queue of its socket must not be lost with it: the first slot's next
        worker accepts from that socket too.
        """
        if len(self._slots) == 1:
            logger.warning("The last worker stays")
            return False
        slot = self._slots.pop()
        slot.start_at = None
        first = self._slots[0]
        first.sockets += [sock for sock in slot.sockets if sock not in first.sockets]
        self._surplus.append(slot)
        return True

    def failed(self, config: Config) -> None:
        """A successor with ``config`` could not start: after a reload, keep what there is."""
        if self._rolling and config is self.config:
            self._rolling = False
            self.config = self._adopted
            logger.error("Reload given up: the workers that are left go on as they are")

    def go_on(self, now: float) -> list[WorkerProcess]:
        """Take the next step; returns workers of former slots that have to drain now."""
        done = self._settle_surplus(now)
        if self._rolling and all(slot.settled or slot.waits for slot in self._slots):
            stale = [slot for slot in self._slots if self._is_stale(slot)]
            if stale:
                # The oldest first: signals faster than workers start must reach all of them.
                min(stale, key=self._generation_in).start_at = now
            else:
                self._rolling = False
                logger.info("Reloaded: all %d workers are new", len(self._slots))
        return done

    def _is_stale(self, slot: Slot) -> bool:
        return self._generation_in(slot) < self._generation

    def _generation_in(self, slot: Slot) -> int:
        return self._generation if slot.worker is None else slot.worker.generation

    def _settle_surplus(self, now: float) -> list[WorkerProcess]:
        done: list[WorkerProcess] = []
        first = self._slots[0]
        for slot in self._surplus.copy():
            waiting = [sock for sock in slot.sockets if not self._is_served(sock)]
            if not waiting:
                self._surplus.remove(slot)
                slot.leaving.update(filter(None, (slot.worker, slot.successor)))
                done += slot.leaving
            elif first.settled and not set(waiting).isdisjoint(first.sockets):
                first.start_at = now
            # Else a slot that was added since has them, and its worker is starting.
        return done

    def _is_served(self, sock: socket.socket) -> bool:
        return any(slot.serves(sock) for slot in self._slots)


def _spare(slot: Slot, beside: socket.socket) -> socket.socket | None:
    """Take a left-over socket at the address of ``beside`` out of ``slot``, if it has one."""
    where = beside.family, beside.getsockname()
    for sock in slot.sockets:
        if sock not in slot.own and (sock.family, sock.getsockname()) == where:
            slot.sockets.remove(sock)
            return sock
    return None
