"""``Server`` as uvicorn has it: what programs call, set, subclass and run in threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.net.sockets import bind_sockets, remove_unix_socket
from katana_asgi.observe.logs import configure_logging, log_notes
from katana_asgi.uvicorn.config import STARTUP_FAILURE, Lifespan
from katana_asgi.worker.loop import run_to_end
from katana_asgi.worker.server import Server as Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from katana_asgi.uvicorn.config import Config

__all__ = ["HANDLED_SIGNALS", "Server", "ServerState"]

HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

TICK: Final = 0.1
"""Seconds between two calls of ``on_tick``."""

logger = logging.getLogger("katana_asgi.error")


class Listening:
    """A listener, as far as programs ask for its address."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets


class Server:
    """Serves what a ``Config`` says, until ``should_exit`` is true or a signal comes.

    ``startup``, ``main_loop`` and ``shutdown`` may be overridden, as may ``handle_exit`` and
    ``install_signal_handlers``; ``should_exit`` may be set from any thread.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = False
        self.lifespan = Lifespan(config)
        self.servers: list[Listening] = []
        self._should_exit = False
        self._force_exit = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._leave: asyncio.Event | None = None
        self._own_sockets: list[socket.socket] = []
        self._captured: list[int] = []

    @property
    def should_exit(self) -> bool:
        """Whether the server is to stop."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        """Ask the server to stop; from any thread."""
        self._should_exit = value
        if value:
            self._wake()

    @property
    def force_exit(self) -> bool:
        """Whether the server is to stop without waiting for what runs."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        """Ask the server to stop at once; from any thread."""
        self._force_exit = value
        if value:
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # closed: it has stopped
                self._loop.call_soon_threadsafe(self._obey)

    def _obey(self) -> None:
        if self._leave is not None and self._should_exit:
            self._leave.set()
        if self._engine is not None and self._force_exit:
            self._engine.stop(force=True)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """``serve`` on an event loop of its own."""
        run_to_end(partial(self.serve, sockets=sockets), self.config.get_loop_factory())

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, serve and stop."""
        with self.capture_signals():
            await self._serve(sockets)

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        settings = self.config.settings(workers=1, reload=False)
        configure_logging(settings)
        log_notes(settings)
        self._prepare()
        if not self.config.loaded:
            self.config.load()
        try:
            await self.startup(sockets=sockets)
            if self.started:
                await self.main_loop()
        finally:
            if self._engine is not None:
                await asyncio.shield(self.shutdown(sockets=sockets))

    def _prepare(self) -> None:
        """Have attributes that are set from now on noticed by the running loop."""
        if self._leave is None:
            self._loop = asyncio.get_running_loop()
            self._leave = asyncio.Event()
            self._obey()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, run lifespan startup, accept. A startup that fails ends in ``should_exit``."""
        self._prepare()
        settings = self.config.settings(workers=1, reload=False)
        engine = self._engine = Engine(
            settings.replace(app=self.config.loaded_app or settings.app, factory=False)
        )
        try:
            if sockets is None:
                sockets = self._own_sockets = bind_sockets(settings, 1)
            await engine.start(sockets)
        except (StartupError, ConfigurationError) as error:
            self._engine = None
            self.should_exit = self.lifespan.should_exit = True
            logger.error("%s", error)
            self._release()
            if not (isinstance(error, StartupError) and error.status == STARTUP_FAILURE):
                sys.exit(1)
            return
        self.servers = [Listening(list(sockets))]
        self.started = True
        engine.say_listening()
        limit = self.config.limit_max_requests
        if limit:
            engine.every_tick(lambda: self._count(limit))

    def _count(self, limit: int) -> None:
        if self._engine is not None and self._engine.requests >= limit:
            self.should_exit = True

    async def main_loop(self) -> None:
        """Wait until the server is to stop."""
        if type(self).on_tick is not Server.on_tick:
            await self._tick()
        elif self._leave is not None and not self._should_exit:
            await self._leave.wait()

    async def _tick(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            await asyncio.sleep(TICK)

    async def on_tick(self, counter: int) -> bool:
        """Return whether the server is to stop; called ten times a second if it is overridden."""
        return self._should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs, run lifespan shutdown, release everything."""
        engine = self._engine
        if engine is None:
            return
        if self._force_exit:
            engine.stop(force=True)
        try:
            await engine.close()  # a second signal still reaches it
        finally:
            self._engine = None
            self._release()
            for sock in sockets or ():
                sock.close()

    def _release(self) -> None:
        for sock in self._own_sockets:
            remove_unix_socket(sock)
        self._own_sockets = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have ``handle_exit`` called for SIGINT and SIGTERM, in the main thread."""
        main = threading.current_thread() is threading.main_thread()
        own = getattr(self.install_signal_handlers, "__func__", None)
        if not main or own is not Server.install_signal_handlers:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        # What they were before may have something to do as well, such as to end the process.
        for captured in reversed(self._captured):
            signal.raise_signal(captured)

    def install_signal_handlers(self) -> None:
        """Nothing. A program that overrides it listens to signals itself."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come: stop, or at the second SIGINT stop at once."""
        self._captured.append(sig)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

    @property
    def server_state(self) -> Any:
        """What uvicorn keeps of the running server, as far as programs read it."""
        return ServerState(self._engine)


class ServerState:
    """Counts of a running server."""

    def __init__(self, engine: Engine | None) -> None:
        self.total_requests = 0 if engine is None else engine.requests
        self.default_headers: list[tuple[bytes, bytes]] = []
        self.connections: set[object] = set()
        self.tasks: set[object] = set()
