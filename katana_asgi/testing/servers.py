"""Applications behind a real server on a free port: in the running event loop, or in a thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from katana_asgi.testing.http_peer import HttpPeer, Response
from katana_asgi.worker.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from katana_asgi.asgi_types import ASGIApplication

__all__ = ["Running", "ServerThread", "running"]


class Running(NamedTuple):
    """A server that listens, and where: a host and a port, or the path of a socket and 0."""

    server: Server
    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as a URL without a slash at its end."""
        return _url(self.server, self.host, self.port)

    async def connect(self) -> HttpPeer:
        """Open a connection."""
        return await HttpPeer.open(self.host, self.port)

    async def exchange(self, *chunks: bytes, method: str = "GET") -> Response:
        """Send a request on a connection of its own, each chunk in a write; read its response."""
        async with await self.connect() as peer:
            await peer.send(*chunks)
            return await peer.response(method)


@asynccontextmanager
async def running(app: ASGIApplication | str, **settings: Any) -> AsyncIterator[Running]:
    """Serve ``app`` in the running event loop for the length of a block, on a free port.

    ``settings`` are those of ``Config``. What runs at the end has two seconds to finish. Raises
    ``ConfigurationError`` and ``StartupError``.
    """
    defaults = {"port": 0, "access_log": False, "timeout_graceful_shutdown": 2.0}
    async with Server(app, **{**defaults, **settings}) as server:
        yield Running(server, *_address(server))


class ServerThread:
    """A server in a thread with an event loop of its own, from now until ``stop``.

    ``settings`` are those of ``Config``; by default it has a free port. Raises
    ``ConfigurationError``, ``StartupError`` and whatever else keeps the server from starting.
    """

    def __init__(self, app: ASGIApplication | str, **settings: Any) -> None:
        self.server: Server = Server(app, **{"port": 0, "access_log": False, **settings})
        """The server; ``stop`` and ``should_exit`` may be used from any thread."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="katana-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failures:
            self._thread.join()
            raise self._failures[0]

    @property
    def host(self) -> str:
        """The address, or the path of a Unix socket."""
        return _address(self.server)[0]

    @property
    def port(self) -> int:
        """The port; 0 for a Unix socket."""
        return _address(self.server)[1]

    @property
    def url(self) -> str:
        """The address as a URL without a slash at its end."""
        return _url(self.server, self.host, self.port)

    def stop(self) -> None:
        """End the server and wait for it; harmless when it has ended."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised where the server is made
            self._failures.append(error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self.server:
            self._ready.set()
            await self._stop.wait()


def _address(server: Server) -> tuple[str, int]:
    address = server.addresses[0]
    return address if isinstance(address, tuple) else (address, 0)


def _url(server: Server, host: str, port: int) -> str:
    return f"{server.config.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
