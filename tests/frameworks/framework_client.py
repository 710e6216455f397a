"""An application of a framework behind a real server, and httpx in front of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from katana_asgi.testing import Running, running
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Browsing", "browsing"]


class Browsing(NamedTuple):
    """A server and a client that keeps its connections."""

    server: Running
    client: httpx.AsyncClient


@asynccontextmanager
async def browsing(app: Any, **settings: Any) -> AsyncIterator[Browsing]:
    """Serve ``app`` in the running event loop; ``settings`` are the server's."""
    async with running(app, **settings) as server:
        url = f"http://{server.host}:{server.port}"
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
            yield Browsing(server, client)
