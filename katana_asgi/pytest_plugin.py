"""The fixture ``katana_server`` for pytest: an application behind a real server on a free port.

::

    def test_home(katana_server):
        server = katana_server(app)
        assert httpx.get(f"{server.url}/").status_code == 200

For whatever needs a real connection: browsers, WebSocket clients, streaming. The server runs in
a thread with an event loop of its own and ends with the test.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.worker.server import Server

__all__ = ["RunningServer", "katana_server"]


class RunningServer:
    """A server in a thread; ``url``, ``host`` and ``port`` are where it listens.

    Raises what kept it from starting.
    """

    def __init__(self, app: ASGIApplication | str, **settings: Any) -> None:
        from katana_asgi.worker.server import Server

        self.server: Server = Server(app, **{"port": 0, "access_log": False, **settings})
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
        """The address."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port."""
        return self._address[1]

    @property
    def url(self) -> str:
        """The address as a URL without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.server.config.scheme}://{host}:{self.port}"

    @property
    def _address(self) -> tuple[str, int]:
        address = self.server.addresses[0]
        return address if isinstance(address, tuple) else (address, 0)

    def stop(self) -> None:
        """End the server, as the fixture does after the test; harmless when it has ended."""
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


@pytest.fixture
def katana_server() -> Iterator[Callable[..., RunningServer]]:
    """Serve applications: ``katana_server(app, **settings)`` returns a ``RunningServer``."""
    servers: list[RunningServer] = []

    def serve(app: ASGIApplication | str, **settings: Any) -> RunningServer:
        server = RunningServer(app, **settings)
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()
