"""The fixture ``katana_server`` for pytest: an application behind a real server on a free port.

::

    def test_home(katana_server):
        server = katana_server(app)
        assert httpx.get(f"{server.url}/").status_code == 200

For whatever needs a real connection: browsers, WebSocket clients, streaming. The server runs in
a thread with an event loop of its own and ends with the test. Nothing of it is imported before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.testing import ServerThread

__all__ = ["katana_server"]


@pytest.fixture
def katana_server() -> Iterator[Callable[..., ServerThread]]:
    """Serve applications: ``katana_server(app, **settings)`` returns a ``ServerThread``."""
    from katana_asgi.testing import ServerThread

    servers: list[ServerThread] = []

    def serve(app: ASGIApplication | str, **settings: Any) -> ServerThread:
        server = ServerThread(app, **settings)
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()
