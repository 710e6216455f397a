"""Development: a supervisor of one worker that has a successor whenever files change.

A process of its own watches the files, because a process with threads should not fork.
"""

from __future__ import annotations

import logging
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from katana_asgi.supervisor.file_changes import changed_files
from katana_asgi.supervisor.signals import describe_signal
from katana_asgi.supervisor.slot import Slot
from katana_asgi.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.slot import WorkerProcess
    from katana_asgi.worker.channel import Channel, Message

__all__ = ["ReloadSupervisor", "watch_files"]

DRAIN: Final = 1.0
"""Seconds an old worker gets for its streams and WebSockets, whose clients come again, and
idle connections until they are closed: a developer does not wait for them."""

REQUESTS: Final = 5.0
"""Seconds it gets for requests that have not been answered, and again for lifespan shutdown;
the new one serves already."""

LEAVING: Final = 20
"""Old workers that may drain when the next one starts, against a program that saves without
end. A developer who saves again does not wait for them."""

PATHS_NAMED: Final = 3
"""Changed files that the log names; a change of branch touches hundreds."""

logger = logging.getLogger("katana_asgi.error")


class ReloadSupervisor(Supervisor):
    """Runs one worker, and another for each change of the files it is made of.

    What fails waits for the next change. Where there is no older worker, requests wait with it
    in the queues of the sockets, on which the supervisor itself listens.
    """

    def __init__(self, config: Config) -> None:
        requests = min(config.timeout_graceful_shutdown, REQUESTS)
        streams = config.timeout_stream_shutdown or requests
        super().__init__(
            config.replace(
                preload=False,  # new code would never be imported
                shutdown_delay=0.0,
                timeout_worker=0.0,  # a debugger may hold the loop
                timeout_graceful_shutdown=requests,
                timeout_stream_shutdown=min(streams, DRAIN),
                timeout_ws_shutdown=min(config.timeout_ws_shutdown, DRAIN),
                timeout_drain_idle=min(config.timeout_drain_idle, DRAIN),
                timeout_lifespan_shutdown=min(config.timeout_lifespan_shutdown, REQUESTS),
            )
        )
        self._watcher = _Watcher(self._system.now())

    def _prepare(self) -> None:
        super()._prepare()
        for slot in self._slots:
            for sock in slot.sockets:
                sock.listen(self._config.backlog)
            slot.start_at = None  # not before the files are watched
            slot.was_ready = True  # so that a first start that fails is no end
            slot.leaving_limit = LEAVING

    @property
    def _all_slots(self) -> list[Slot]:
        return [self._watcher, *super()._all_slots]

    def _on_order(self, number: int) -> None:
        if number == signal.SIGUSR1:
            super()._on_order(number)
        else:  # the others are those of a service
            name = describe_signal(number)
            logger.info("Received %s: nothing to do with --reload, which watches files", name)

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        super()._on_message(worker, message)
        if worker.slot is not self._watcher or self._stopping:
            return
        match message["type"]:
            case "ready":  # the watch begins: nobody knows what changed before
                self._renew_all()
            case "changed":
                logger.info("Reloading: %s changed", _named(message["paths"]))
                self._renew_all()

    def _renew_all(self) -> None:
        """Have a worker started; one that is still starting was made of files that have changed.

        It may accept connections already, and that has not been read yet: so it is not killed.
        """
        for slot in self._slots:
            starting = slot.give_up_start()
            if starting is not None:
                self._stop_workers([starting])
            slot.start_at = self._system.now()

    def _try_again(self, slot: Slot, ready_for: float, what: str) -> None:
        if slot in self._slots:
            logger.error("%s; requests wait until a file changes", what)
        else:
            super()._try_again(slot, ready_for, what)


class _Watcher(Slot):
    """The place of the process that watches files."""

    def __init__(self, now: float) -> None:
        super().__init__(0, (), now)
        self.name = "watcher of files"
        self.entry = watch_files


class _Told:
    """What the supervisor tells the watcher, as the event that ends a watch.

    It is asked twenty times a second, and for the first time when the watch has begun.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._begun = False

    def is_set(self) -> bool:
        """Whether to end: the supervisor says so, or has died."""
        if not self._begun:
            self._begun = True
            self._channel.send({"type": "ready"})
        told = [message["type"] for message in self._channel.receive()]
        return self._channel.closed or not {"stop", "quit"}.isdisjoint(told)

    def wait(self, timeout: float) -> None:
        """Wait for ``timeout`` seconds, or until the supervisor says something."""
        select.select([self._channel], [], [], timeout)


def watch_files(config: Config, _sockets: list[socket.socket], channel: Channel) -> int:
    """Be the watcher: send ``changed {paths}`` for each group of changes, until told to stop.

    Where watchfiles is missing, or cannot watch a directory, the files are polled.
    """
    roots = [Path(name).resolve() for name in config.reload_dir or (".",)]
    patterns = config.reload_include, config.reload_exclude
    for group in changed_files(roots, *patterns, config.reload_delay, _Told(channel)):
        paths = sorted(map(os.path.relpath, group))
        channel.send({"type": "changed", "paths": paths[: PATHS_NAMED + 1]})
    return 0


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(ascii(path)[1:-1] for path in paths[:PATHS_NAMED])
    return f"{shown}, ..." if len(paths) > PATHS_NAMED else shown
