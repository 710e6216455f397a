"""The admin listener of a service: beside the only worker, or in a process of its own.

Several workers have a supervisor, which runs no event loop. It starts one more process for
the listener and passes on to it what the workers publish.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.model import Config
from katana_asgi.net.admin_socket import admin_socket
from katana_asgi.net.certificates import expiries
from katana_asgi.net.sockets import describe, remove_unix_socket
from katana_asgi.observe.fleet import Fleet
from katana_asgi.observe.logs import configure_logging
from katana_asgi.worker.loop import loop_factory, run_to_end
from katana_asgi.worker.measure import Publisher
from katana_asgi.worker.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence

    from katana_asgi.worker.channel import Channel

__all__ = ["observed", "run_admin"]

MAX_CONNECTIONS: Final = 128
"""Against a listener for a few people and programs that takes descriptors from the service."""

logger = logging.getLogger("katana_asgi.error")


def _admin_server(config: Config, fleet: Fleet) -> Server:
    # Imported here: only who asks for the listener needs the library that it needs.
    from katana_asgi.admin.app import AdminApplication

    application: Any = AdminApplication(fleet, config.admin_token)
    return Server(
        Config(
            app=application,
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            loop=config.loop,
            http=config.http,
            limit_connections=MAX_CONNECTIONS,
            timeout_graceful_shutdown=0.5,
        )
    )


def _fleet(config: Config, workers: int) -> Fleet:
    fleet = Fleet(workers, config.application_name)
    fleet.certificates = partial(expiries, config)
    return fleet


@asynccontextmanager
async def observed(server: Server, channel: Channel | None) -> AsyncIterator[Publisher | None]:
    """Have ``server`` measured where its settings ask for it, and alone show what it measures.

    Raises ``StartupError`` where the address cannot be bound.
    """
    config = server.config
    if server.metrics is None:
        yield None
        return
    if channel is not None or not config.admin_bind:
        with server.metrics:
            yield Publisher(server, channel, None)
        return
    fleet = _fleet(config, 1)
    admin = _admin_server(config, fleet)
    sock = admin_socket(config)
    stopping = asyncio.ensure_future(server.wait_stopping())
    stopping.add_done_callback(lambda _: setattr(fleet, "stopping", True))
    try:
        await admin.start([sock])
        logger.info("Admin listener on %s", describe(sock))
        with server.metrics:
            yield Publisher(server, None, fleet)
    finally:
        stopping.cancel()
        await admin.close()
        remove_unix_socket(sock)


def run_admin(config: Config, sockets: Sequence[socket.socket], channel: Channel) -> int:
    """Be the process of the admin listener until the supervisor says stop, or has died."""
    configure_logging(config)
    for number in (signal.SIGINT, signal.SIGTERM):  # terminals and managers signal everybody
        signal.signal(number, signal.SIG_IGN)
    run_to_end(
        lambda: _serve_admin(config, sockets, channel), loop_factory(config.loop, config.app_dir)
    )
    return 0


async def _serve_admin(config: Config, sockets: Sequence[socket.socket], channel: Channel) -> None:
    fleet = _fleet(config, config.workers)
    server = _admin_server(config, fleet)
    loop = asyncio.get_running_loop()
    await server.start(sockets)
    stop = asyncio.Event()

    def read() -> None:
        for message in channel.receive():
            with suppress(KeyError, TypeError, ValueError, IndexError):
                _take(fleet, message, stop)
        if channel.closed:
            loop.remove_reader(channel.fileno())
            stop.set()

    loop.add_reader(channel.fileno(), read)
    server.every_tick(fleet.tick)
    channel.send({"type": "ready"})
    try:
        await stop.wait()
    finally:
        await server.close()


def _take(fleet: Fleet, message: dict[str, Any], stop: asyncio.Event) -> None:
    """Do what the supervisor says."""
    match message["type"]:
        case "worker":
            fleet.restarts = message["restarts"]
            fleet.update(message["pid"], message["number"], message["snapshot"])
        case "ended":
            fleet.ended(message["pid"])
        case "stopping":
            fleet.stopping = True
        case "stop" | "quit":
            stop.set()
