"""Development: a supervisor of one worker that starts the application anew when files change.

A new worker starts on the same socket while the old one serves; the old one leaves when the
new one is ready, and stays when it fails. A process of its own watches the files, because a
process with threads should not fork.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import selectors
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError
from katana_asgi.net.sockets import bind_sockets, describe, remove_unix_socket
from katana_asgi.supervisor.fork import fork_worker, run_worker
from katana_asgi.supervisor.signals import SignalWatch, describe_signal
from katana_asgi.supervisor.slot import Slot, WorkerProcess, describe_end

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.fork import Entry
    from katana_asgi.worker.channel import Channel

__all__ = ["ReloadSupervisor", "counts", "watch_files"]

DRAIN: Final = 1.0
"""Seconds an old worker gets for its streams and WebSockets, whose clients come again, and
idle connections until they are closed: a developer does not wait for them."""

REQUESTS: Final = 5.0
"""Seconds it gets for requests that have not been answered, and to close connections in order;
the new one serves already."""

EXIT_GRACE: Final = 5.0
"""Seconds on top of that for lifespan shutdown and exit functions."""

PATHS_NAMED: Final = 3
"""Changed files that the log names; a change of branch touches hundreds."""

logger = logging.getLogger("katana_asgi.error")


class ReloadSupervisor:
    """Runs one worker, and another for each change of the files it is made of."""

    def __init__(self, config: Config) -> None:
        self._budget = min(config.timeout_graceful_shutdown, REQUESTS)
        streams = config.timeout_stream_shutdown or self._budget
        self._config = config.replace(
            timeout_graceful_shutdown=self._budget,
            timeout_stream_shutdown=min(streams, DRAIN),
            timeout_ws_shutdown=min(config.timeout_ws_shutdown, DRAIN),
            timeout_drain_idle=min(config.timeout_drain_idle, DRAIN),
        )
        self._workers: dict[int, WorkerProcess] = {}
        self._serving: WorkerProcess | None = None
        self._starting: WorkerProcess | None = None
        self._watcher: WorkerProcess | None = None
        self._stopping = False
        self._announced = False
        self._status = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; 128 plus its number after a second one.

        Raises ``StartupError`` where watchfiles is not installed, the address cannot be bound or
        a process cannot be started.
        """
        if not hasattr(os, "fork"):
            raise StartupError("setting reload needs POSIX")
        if importlib.util.find_spec("watchfiles") is None:
            raise StartupError(
                "setting reload needs the package watchfiles: pip install 'katana-asgi[reload]'"
            )
        self._selector = selectors.PollSelector()
        with SignalWatch() as self._signals:
            self._selector.register(self._signals, selectors.EVENT_READ, self._on_signals)
            (self._sock,) = bind_sockets(self._config, 1)
            try:
                # From now on requests wait in the queue while there is nobody to answer.
                self._sock.listen(self._config.backlog)
                logger.info("Started supervisor [%d], which reloads", os.getpid())
                self._watcher = self._fork(watch_files)
                self._start()
                self._loop()
                logger.info("Stopped supervisor [%d]", os.getpid())
            finally:
                self._leave_nothing()
        return self._status

    def _loop(self) -> None:
        while self._workers:
            ends = [worker.kill_at for worker in self._workers.values() if worker.kill_at]
            wait = max(0.0, min(ends) - time.monotonic()) if ends else None
            for key, _ in self._selector.select(wait):
                key.data()
            for worker in self._workers.values():
                if worker.kill_at is not None and worker.kill_at <= time.monotonic():
                    logger.warning("Killing %s: %s", worker, worker.complaint)
                    worker.kill()

    def _fork(self, entry: Entry) -> WorkerProcess:
        try:
            pid, channel = fork_worker(entry, self._config, [self._sock], 1, self._release_in_child)
        except OSError as error:
            raise StartupError(f"cannot start a process: {error}") from error
        slot = Slot(1, self._sock, 0.0)
        worker = WorkerProcess(slot, pid, channel, self._config, time.monotonic())
        self._workers[pid] = worker
        self._selector.register(channel, selectors.EVENT_READ, partial(self._on_channel, worker))
        return worker

    def _release_in_child(self) -> None:
        self._signals.close_in_child()
        for worker in self._workers.values():
            worker.channel.close()

    def _start(self) -> None:
        """Start a worker; one that is still starting was made of files that have changed.

        It may accept connections already, and that has not been read yet: so it is not killed.
        """
        if self._starting is not None:
            self._dismiss(self._starting)
        worker = self._starting = self._fork(run_worker)
        if timeout := self._config.timeout_startup:
            worker.must_end_by(worker.started_at + timeout, f"not ready within {timeout:g} s")

    def _on_channel(self, worker: WorkerProcess) -> None:
        if worker.pid not in self._workers:
            return
        for message in worker.channel.receive():
            match message["type"]:
                case "changed" if not self._stopping:
                    logger.info("Reloading: %s changed", _named(message["paths"]))
                    self._start()
                case "ready" if worker is self._starting:
                    self._became_ready(worker)
                case "failed":
                    worker.reason = str(message.get("reason", "no reason given"))
                case "retiring" if worker is self._serving and not self._stopping:
                    self._start()
        if worker.channel.closed:
            self._unwatch(worker)
            worker.must_end_by(time.monotonic() + EXIT_GRACE, "silent, but did not end")

    def _became_ready(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
        worker.became_ready(now)
        old, self._serving, self._starting = self._serving, worker, None
        logger.info("Worker [%d] is ready after %.2f s", worker.pid, now - worker.started_at)
        if old is not None:
            self._dismiss(old)
        if not self._announced:
            self._announced = True
            where = describe(self._sock, self._config.scheme)
            logger.info("Listening on %s (1 worker, reloading), CTRL+C to stop", where)

    def _dismiss(self, worker: WorkerProcess) -> None:
        """Another takes over: whoever is still to ask this one for something is told so first."""
        worker.tell_stop("handover")
        worker.must_end_by(time.monotonic() + self._budget + EXIT_GRACE, "not drained in time")

    def _on_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGCHLD:
                self._reap()
            elif number not in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                continue  # those of a service: here a change of a file does it all
            elif self._stopping:
                self._status = 128 + number
                for worker in self._workers.values():
                    worker.kill()
            else:
                logger.info("Received %s, stopping", describe_signal(number))
                self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers.values():
            worker.tell_stop("prompt")
            worker.must_end_by(time.monotonic() + self._budget + EXIT_GRACE, "not stopped in time")

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            code = worker.wait()
            if code is None:
                continue
            self._on_channel(worker)  # its last words
            del self._workers[worker.pid]
            self._unwatch(worker)
            worker.channel.close()
            self._on_end(worker, code)

    def _on_end(self, worker: WorkerProcess, code: int) -> None:
        if self._stopping:
            return
        if worker is self._watcher:
            logger.error("The watcher of files ended: %s", worker.reason or describe_end(code))
            self._status = 1
            self._stop()
        elif worker is self._starting:
            self._starting = None
            rest = "the old one serves on" if self._serving else "requests wait"
            reason = worker.reason or describe_end(code)
            logger.error("The worker failed to start: %s; %s until a file changes", reason, rest)
        elif worker is self._serving:
            self._serving = None
            if self._starting is None:
                end = describe_end(code)
                logger.error("The worker ended (%s); requests wait until a file changes", end)

    def _unwatch(self, worker: WorkerProcess) -> None:
        if worker.channel in {key.fileobj for key in self._selector.get_map().values()}:
            self._selector.unregister(worker.channel)

    def _leave_nothing(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        for worker in self._workers.values():
            worker.wait(block=True)
            worker.channel.close()
        remove_unix_socket(self._sock)
        self._sock.close()
        self._selector.close()


def watch_files(config: Config, sockets: list[socket.socket], channel: Channel) -> int:
    """Be the watcher: say ``changed {paths}`` for each group of changes, until orphaned."""
    from watchfiles import watch

    for sock in sockets:
        sock.close()
    roots = [Path(name).resolve() for name in config.reload_dir or (".",)]

    def matters(_change: object, name: str) -> bool:
        return counts(Path(name), roots, config.reload_include, config.reload_exclude)

    changes = watch(
        *roots, watch_filter=matters, rust_timeout=1000, yield_on_timeout=True, debounce=400
    )
    for group in changes:
        paths = sorted({os.path.relpath(name) for _, name in group})
        if paths:
            channel.send({"type": "changed", "paths": paths[: PATHS_NAMED + 1]})
        if channel.receive() or channel.closed:
            break
    return 0


def counts(
    path: Path, roots: Sequence[Path], include: Sequence[str], exclude: Sequence[str]
) -> bool:
    """Whether a change of ``path`` is a reason to reload.

    Its name must match a pattern of ``include``; neither it nor a directory above it, below the
    root it lies in, may match one of ``exclude``.
    """
    if not any(path.match(pattern) for pattern in include):
        return False
    for root in roots:
        if path.is_relative_to(root):
            parts = (path, *(up for up in path.parents if up != root and up.is_relative_to(root)))
            if not any(part.match(pattern) for part in parts for pattern in exclude):
                return True
    return False


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(ascii(path)[1:-1] for path in paths[:PATHS_NAMED])
    return f"{shown}, ..." if len(paths) > PATHS_NAMED else shown
