"""What all connections and exchanges of one worker share.

Settings never enter the hot path: what a connection or an exchange needs per request is
copied into slots here, once.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeAlias

from katana_asgi.files.disk import Disk
from katana_asgi.files.sending import RangeReader
from katana_asgi.net.admission import Admission
from katana_asgi.net.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.answers import Answers
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.config.model import Config
    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.forwarded import TrustedProxies
    from katana_asgi.net.clock import Clock, Watched
    from katana_asgi.observe.observer import Observer
    from katana_asgi.routes.table import RouteTable

    Routes: TypeAlias = RouteTable | Answers
    """What answers without the application."""

__all__ = ["WorkerContext"]


class WorkerContext:
    """One per worker; lives as long as its event loop serves."""

    __slots__ = (
        "_ended",
        "admission",
        "application",
        "calls",
        "clock",
        "defaults",
        "draining",
        "grace",
        "limit_body",
        "limit_concurrency",
        "limited",
        "loop",
        "observer",
        "outbox",
        "pid",
        "raises_disconnect",
        "reader",
        "requests",
        "root_path",
        "routes",
        "scheme",
        "shutdown_notice",
        "spec_version",
        "state",
        "timeout_disconnect",
        "trusted",
        "trusts_ids",
        "variables",
    )

    def __init__(
        self,
        config: Config,
        application: ASGIApplication,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        defaults: DefaultFields,
        routes: Routes | None,
        trusted: TrustedProxies | None,
        observer: Observer | None,
    ) -> None:
        self.application = application
        self.loop = loop
        self.pid = os.getpid()  # not that of a process which the application forks
        self.clock = clock
        self.defaults = defaults  # fields of every response
        self.routes = routes
        self.trusted = trusted
        self.trusts_ids = config.request_id == "trust"
        self.observer = observer
        self.admission = Admission(
            clock,
            config.limit_connections,
            config.limit_connections_per_client,
            trusted.trusts if trusted is not None else _no_one,
        )
        self.outbox = Outbox(loop)
        self.reader = RangeReader(Disk())  # of files, where sendfile cannot be used
        self.root_path = config.root_path.rstrip("/")
        self.scheme = config.scheme  # of connections, before a proxy is believed
        self.limit_body = config.limit_body_size
        self.limit_concurrency = config.limit_concurrency
        self.limited = bool(self.limit_body or self.limit_concurrency)
        self.timeout_disconnect = config.timeout_disconnect
        self.raises_disconnect = config.disconnect == "raise"
        # ASGI HTTP 2.4 made send() raise after a disconnect; 2.3 is what most expect.
        self.spec_version = "2.5" if self.raises_disconnect else "2.3"
        self.state: dict[str, Any] = {}
        self.variables: Context = copy_context()
        self.draining = False
        self.grace = 0.0  # seconds that idle connections may stay while it drains
        self.shutdown_notice = asyncio.Event()  # for the application to await
        # Exchanges whose application call has not returned, with its task: an event loop refers to
        # tasks weakly, and a call that waits for what only it knows of would be collected.
        self.calls: dict[Exchange, asyncio.Task[None] | None] = {}
        self.requests = 0  # requests that came, whatever answered them
        # Called when a call or a connection has ended, while the worker comes to its end.
        self._ended: Callable[[], object] | None = None

    @property
    def running(self) -> int:
        """How many calls of the application have not returned."""
        return len(self.calls)

    def exchange_finished(self, exchange: Exchange) -> None:
        """An application call has returned."""
        self.calls.pop(exchange, None)
        if self._ended is not None:
            self._ended()

    def connection_closed(self, connection: Watched) -> None:
        """A connection is gone."""
        self.clock.watched.discard(connection)
        if self.admission.counts_clients:
            self.admission.left(connection)
        if self._ended is not None:
            self._ended()

    def watch(self, ended: Callable[[], object] | None) -> None:
        """Have ``ended`` called whenever a call or a connection has ended; ``None``: no more."""
        self._ended = ended

    async def wait_idle(self, *, closed: bool = True) -> None:
        """Wait until no application call is running and, with ``closed``, no connection open."""
        ended = asyncio.Event()
        self.watch(ended.set)
        # One that came out of a TLS handshake has gone for a moment: it is another object.
        while self.calls or (closed and self.clock.watched):
            ended.clear()
            await ended.wait()


def _no_one(address: str | None) -> bool:
    """Without proxies to trust every address counts."""
    return False
