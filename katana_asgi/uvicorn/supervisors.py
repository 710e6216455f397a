"""uvicorn's supervisors: several processes, or one that starts again when files change."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.launch import launch
from katana_asgi.supervisor.file_changes import changed_files

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from katana_asgi.uvicorn.config import Config

__all__ = ["ChangeReload", "Multiprocess"]

PATIENCE: Final = 10.0
"""Seconds a process gets to end before it is killed."""


class Multiprocess:
    """Several workers under our supervisor; ``target`` is not used, each makes its own server."""

    def __init__(
        self,
        config: Config,
        target: Callable[..., Any] | None = None,
        sockets: list[socket.socket] | None = None,
    ) -> None:
        self.config = config
        self.sockets = sockets or []

    def run(self) -> None:
        """Serve until stopped; end the process where that failed."""
        places: dict[str, Any] = {}
        if self.sockets:
            places = {"fd": self.sockets[0].fileno(), "host": None, "port": None, "uds": None}
        status = launch(self.config.settings(**places))
        if status:
            sys.exit(status)


class ChangeReload:
    """Runs ``target`` in a new process, and again whenever a file changes.

    The process is spawned, so that a program that serves from its main module is read anew.
    """

    def __init__(
        self,
        config: Config,
        target: Callable[..., Any],
        sockets: list[socket.socket],
    ) -> None:
        self.config = config
        self.target = target
        self.sockets = sockets
        self.should_exit = threading.Event()
        self.process: Any = None

    def run(self) -> None:
        """Watch and restart until SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.should_exit.set())
        settings = self.config.settings()
        roots = [Path(name).resolve() for name in settings.reload_dir or (".",)]
        patterns = settings.reload_include, settings.reload_exclude
        self._start()
        for _ in changed_files(roots, *patterns, settings.reload_delay, self.should_exit):
            self._stop()
            self._start()
        self._stop()
        for sock in self.sockets:
            sock.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=self.target, kwargs={"sockets": self.sockets})
        self.process.start()

    def _stop(self) -> None:
        self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
