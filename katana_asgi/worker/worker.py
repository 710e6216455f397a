"""A worker process: one event loop, one ``Server``, and a word to the supervisor.

Without a channel the worker is the whole service (``--workers 1``) and listens to SIGINT
and SIGTERM itself. With one it obeys the supervisor, tells it when it is ready, and ends
when the supervisor has died.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
from contextlib import ExitStack, closing, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from katana_asgi.asgi.loader import ApplicationImportError, load_application
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.net.notify import Notifier
from katana_asgi.observe.logs import configure_logging, log_notes, reopen_logs
from katana_asgi.observe.stacks import make_room_for_signals
from katana_asgi.worker.admin import observed
from katana_asgi.worker.channel import Budgets, ShutdownMode
from katana_asgi.worker.faults import DescriptorWatch, pass_over_host_names
from katana_asgi.worker.forked import released_in_forks
from katana_asgi.worker.inspection import inspected, watched_loop
from katana_asgi.worker.invalidations import apply_message, relay_through
from katana_asgi.worker.loop import loop_factory, loop_name, run_to_end
from katana_asgi.worker.memory import settle
from katana_asgi.worker.recycling import Recycling
from katana_asgi.worker.server import Server
from katana_asgi.worker.signals import (
    QUICK_STOP,
    STOP_SIGNALS,
    interrupted_by,
    orders_obeyed,
    stop_on_signals,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from katana_asgi.balance.links import Share
    from katana_asgi.config.model import Config
    from katana_asgi.worker.channel import Channel
    from katana_asgi.worker.signals import Orders

__all__ = ["import_application", "run_worker"]

logger = logging.getLogger("katana_asgi.error")


def run_worker(
    config: Config,
    sockets: Sequence[socket.socket] | None = None,
    channel: Channel | None = None,
    share: Share | None = None,
) -> int:
    """Serve until told to stop; with a ``share`` in the load of a service, beside others.

    Returns the exit status: 0 after a requested stop, 1 when the application cannot be
    imported or an address cannot be bound, 2 for settings that cannot be had here, 3 when
    lifespan startup failed.
    """
    configure_logging(config)
    if channel is None:
        log_notes(config)
    if config.ssl_certfile is not None:
        pass_over_host_names()
    if channel is not None:
        # The supervisor sends SIGABRT when the heartbeat is missing. The stacks are written from
        # C, so that a blocked loop does not matter; without standard error there is no place.
        with suppress(AttributeError, OSError, RuntimeError, ValueError):
            faulthandler.enable(all_threads=True)
            make_room_for_signals()
    try:
        supervisor = os.getpid() if channel is None else os.getppid()
        factory = loop_factory(config.loop, config.app_dir)
        with (
            orders_obeyed() if channel is None else nullcontext() as orders,
            released_in_forks([*(sockets or ()), *([] if channel is None else [channel])]),
            released_in_forks([] if share is None else [share.inbox, *share.outboxes]),
            # A supervisor speaks for its workers.
            closing(Notifier(None if channel is None else {})) as notifier,
        ):
            run_to_end(
                lambda: inspected(
                    _serve(config, sockets, channel, orders, share, notifier), config, supervisor
                ),
                factory,
            )
    except KeyboardInterrupt:
        logger.info("Stopped while importing the application")
    except (StartupError, ConfigurationError) as error:
        status = error.status if isinstance(error, StartupError) else 2
        if channel is None or error.__cause__ is not None:
            _explain(error)
        if channel is not None:
            channel.send({"type": "failed", "status": status, "reason": str(error)})
        return status
    return 0


def import_application(config: Config) -> None:
    """Import the application and the event loop, for workers that are to have them already.

    Raises ``StartupError``.
    """
    loop_factory(config.loop, config.app_dir)
    try:
        load_application(config)
    except StartupError as error:
        _explain(error)
        raise


def _explain(error: Exception) -> None:
    """Say what went wrong; an error in the application's own code with its own traceback."""
    cause = error.__cause__ if isinstance(error, ApplicationImportError) else None
    logger.error("%s", error, exc_info=cause)


async def _serve(
    config: Config,
    sockets: Sequence[socket.socket] | None,
    channel: Channel | None,
    orders: Orders | None,
    share: Share | None,
    notifier: Notifier,
) -> None:
    server = Server(config)
    if share is not None:
        # Not where there is one worker, or a system without the calls for it.
        from katana_asgi.worker.balancing import Balancer

        server.balancer = Balancer(share)
    alone = channel is None
    # Under a supervisor only its "quit" forces: service managers signal every process, often twice.
    numbers = STOP_SIGNALS if alone else (signal.SIGTERM,)
    quick = (QUICK_STOP,) if QUICK_STOP is not None else ()
    budgets = Budgets.of(config)
    with interrupted_by(numbers):
        server.load()
    limit = budgets.longest + budgets.lifespan if alone else None
    with (
        stop_on_signals(server, (*numbers, *quick), force=alone, limit=limit),
        ExitStack() as watched,
    ):
        if channel is not None:
            follower = _Follower(server, channel)
            asyncio.get_running_loop().add_reader(channel.fileno(), follower.read)
            if config.cache:
                relay_through(channel)
        if orders is not None:
            orders.loop = asyncio.get_running_loop()
        async with observed(server, channel) as publisher:
            serving = asyncio.ensure_future(server.serve(sockets, signals=False))
            ready = False
            with suppress(Exception):  # serving raises the reason, where it is not a stop
                await server.wait_started()
                ready = True
            if ready:
                _started(server, channel)
                watched.enter_context(watched_loop(config))
                if publisher is not None:
                    publisher.start()
                if alone:
                    _tell_manager(server, notifier)
                    if orders is not None:
                        orders.reload = partial(_reread_certificates, server, notifier)
                    await server.wait_stopping()
                    notifier.stopping()
            await serving
            if publisher is not None:
                publisher.close()
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel.fileno())
            if not ready:
                logger.info("Stopped before it was ready")
        else:
            logger.info("Stopped")


def _started(server: Server, channel: Channel | None) -> None:
    """The application is loaded: settle memory, say so, look after limits."""
    settle()
    if channel is not None:
        loop = loop_name(asyncio.get_running_loop())
        channel.send(
            {
                "type": "ready",
                "addresses": server.addresses,
                "loop": loop,
                "parser": server.parser,
            }
        )
    else:
        server.say_listening()
        if server.redirects:
            logger.info("Redirecting from %s", server.redirects)
    server.every_tick(_Housekeeping(server, channel).tick)
    server.every_tick(DescriptorWatch(asyncio.get_running_loop()).tick)


def _tell_manager(server: Server, notifier: Notifier) -> None:
    notifier.ready(f"Listening on {', '.join(server.places)}")
    if notifier.watchdog:
        server.every_tick(notifier.alive)


def _reread_certificates(server: Server, notifier: Notifier) -> None:
    """Read the files again; a service manager that waits for it is told when it is over."""
    notifier.reloading()
    try:
        server.reload_certificates()
    finally:
        notifier.ready(f"Listening on {', '.join(server.places)}")


class _Housekeeping:
    """Once a tick: tell the supervisor how it goes, retire when it is time.

    Under a supervisor a worker goes on serving until its successor is ready.
    """

    def __init__(self, server: Server, channel: Channel | None) -> None:
        self._server = server
        self._channel = channel
        self._recycling: Recycling | None = Recycling(server.config)
        if not self._recycling.limited:
            self._recycling = None

    def tick(self) -> None:
        server = self._server
        if self._channel is not None:
            self._channel.send(
                {
                    "type": "heartbeat",
                    "lag": server.lag,
                    "requests": server.requests,
                    "connections": server.connections,
                }
            )
        if self._recycling is None:
            return
        reason = self._recycling.reason(server.requests)
        if reason is None:
            return
        self._recycling = None
        if self._channel is not None:
            self._channel.send({"type": "retiring", "reason": reason})
        else:
            logger.info("%s, retiring", reason.capitalize())
            server.stop(mode=ShutdownMode.NOTICE)


class _Follower:
    """Does what the supervisor says; end of file, when it has died, means stop."""

    def __init__(self, server: Server, channel: Channel) -> None:
        self._server = server
        self._channel = channel

    def read(self) -> None:
        for message in self._channel.receive():
            match message["type"]:
                case "reopen":
                    reopen_logs()
                case "invalidate":
                    apply_message(message)
                case "quit":
                    self._server.stop(force=True)
                case "stop":
                    known = {each.value: each for each in ShutdownMode}
                    mode = known.get(str(message.get("mode")), ShutdownMode.PROMPT)
                    self._server.stop(mode=mode)
        if self._channel.closed:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._server.stop()
