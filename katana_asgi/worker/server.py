"""A server in the running event loop: listen → lifespan → accept → drain → lifespan.

``Server`` starts, serves and stops; it never touches the process (``worker.py`` does). It
works in a program of its own, as a worker, and beside other tasks in a running loop.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, nullcontext, suppress
from contextvars import Context
from time import time
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from katana_asgi.asgi.answers import Answers, routes_of
from katana_asgi.asgi.context import WorkerContext
from katana_asgi.asgi.lifespan import Lifespan
from katana_asgi.asgi.loader import load_application
from katana_asgi.asgi.request_ids import identified
from katana_asgi.config.model import Config
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http.forwarded import TrustedProxies
from katana_asgi.http1.scanning import back_end
from katana_asgi.net.clock import Clock
from katana_asgi.net.listener import accept_the_rest, address_of, fixed_endpoint
from katana_asgi.net.sockets import bind_sockets, describe, reason_of, remove_unix_socket
from katana_asgi.net.tls_prepared import tls_for
from katana_asgi.observe.access import AccessLog
from katana_asgi.observe.access_observer import AccessObserver
from katana_asgi.observe.logs import log_notes, prepare_logging
from katana_asgi.observe.metrics import WorkerMetrics
from katana_asgi.observe.metrics_observer import MetricsObserver
from katana_asgi.observe.observer import Observer, combined
from katana_asgi.worker.channel import Budgets, ShutdownMode
from katana_asgi.worker.doors import Listener, hsts_field, listen_for_redirects, open_door
from katana_asgi.worker.drain import BRIEF, announce_end, drain, pause
from katana_asgi.worker.forked import released_in_forks
from katana_asgi.worker.loop import loop_factory, loop_name, run_to_end
from katana_asgi.worker.moment import Moment
from katana_asgi.worker.signals import signals_stop_servers, stop_on_signals
from katana_asgi.worker.switchboard import Switchboard, Upgrades

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.net.tls import Tls
    from katana_asgi.worker.balancing import Balancer

__all__ = ["Server", "serve"]

TIMED: Final = (
    "timeout_header",
    "timeout_proxy_header",
    "timeout_body",
    "timeout_write",
    "timeout_ws_handshake",
    "ssl_handshake_timeout",
    "timeout_ws_idle",
    "timeout_ws_close",
    "timeout_ws_shutdown",
    "ws_ping_interval",
    "ws_ping_timeout",
)
"""Settings that the clock keeps, besides the keep-alive timeout: the shortest sets its tick."""

NOTICE: Final = "katana.shutdown"
"""The key of the lifespan state under which an application finds an event: the end begins."""

logger = logging.getLogger("katana_asgi.error")


class Server:
    """Serves one application in the running event loop.

    ``Server("main:app", port=0)``, ``Server(app)`` or ``Server(Config(...))``. Use ``serve()``
    to serve until ``stop()`` is called or a signal comes, ``run()`` for the same on a loop of
    its own, or ``async with`` to serve for the length of a block without touching signals::

        async with Server(app, port=0) as server:
            host, port = server.addresses[0]

    Raises ``ConfigurationError`` for settings that are not allowed; starting raises
    ``StartupError`` where the application cannot be imported, an address cannot be bound or
    lifespan startup fails.
    """

    def __init__(
        self,
        app: ASGIApplication | str | Config = "",
        *,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        app = config or app
        if isinstance(app, Config):
            self.config = app.replace(**settings) if settings else app
        else:
            self.config = Config(app=app, **settings)
        self.addresses: list[tuple[str, int] | str] = []
        self.places: list[str] = []  # the addresses as a person reads them
        self.metrics: WorkerMetrics | None = None
        if self.config.admin_bind or self.config.statsd:
            self.metrics = WorkerMetrics(self.config.metrics_routes)
        self._answers = Answers.of(self.config)
        self._application: ASGIApplication | None = None
        self._context: WorkerContext | None = None
        self.access: AccessLog | None = None
        self._lifespan: Lifespan | None = None
        self.switchboard: Switchboard | None = None  # makes the connections; None before start
        self.time_of_day: Callable[[], float] = time  # seconds since 1970; read from start on
        self.redirects = ""  # where plain HTTP is sent on to https
        self._tls: Tls | None = None
        self._listeners: list[Listener] = []
        self._sockets: Sequence[socket.socket] = ()
        self._own_sockets: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._accepting = asyncio.Event()
        self._start_over = Moment()  # it serves, or never will
        self._failure: BaseException | None = None  # why it does not
        self._stop = Moment()
        self._force = asyncio.Event()
        self._stop_wanted = False  # these two are true at once, the events a turn later
        self._force_wanted = False
        self._mode = ShutdownMode.PROMPT
        self._kept_from_forks = ExitStack()
        self.balancer: Balancer | None = None  # shares the load with other workers

    @property
    def started(self) -> bool:
        """Whether startup is complete and connections are accepted."""
        return self._accepting.is_set()

    @property
    def requests(self) -> int:
        """Requests received since start, static routes included."""
        return self._context.requests if self._context is not None else 0

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._context.clock.watched) if self._context is not None else 0

    @property
    def lag(self) -> float:
        """Seconds the event loop was late at the last tick."""
        return self._context.clock.lag if self._context is not None else 0.0

    @property
    def context(self) -> WorkerContext | None:
        """What all connections share; ``None`` before start."""
        return self._context

    @property
    def parser(self) -> str:
        """The back end that parses requests: "httptools" or "h11"."""
        return back_end(self.config.http)

    async def wait_started(self) -> None:
        """Wait until connections are accepted, also in another loop than the server's.

        Raises what kept the server from starting (``StartupError``, ``ConfigurationError`` or
        what the program's own code raised), and ``StartupError`` where it was stopped before.
        """
        await self._start_over.wait()
        if self._failure is not None:
            raise self._failure

    async def wait_stopping(self) -> None:
        """Wait until the server is asked to stop, also in another loop than its own."""
        await self._stop.wait()

    @property
    def should_exit(self) -> bool:
        """Whether the server was asked to stop; setting it is ``stop()``."""
        return self._stop_wanted

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        """Stop; what was asked for cannot be taken back."""
        if value:
            self.stop()

    @property
    def force_exit(self) -> bool:
        """Whether it was asked to stop at once; setting it is ``stop(force=True)``."""
        return self._force_wanted

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        """Stop at once; what was asked for cannot be taken back."""
        if value:
            self.stop(force=True)

    def stop(self, *, force: bool = False, mode: ShutdownMode = ShutdownMode.PROMPT) -> None:
        """Ask the server to stop: gracefully, or with ``force`` at once. From any thread.

        ``mode`` says how clients learn of it. Safe to call more than once; a second call does
        not force.
        """
        if not self._stop_wanted:
            self._mode = mode
        self._stop_wanted = True
        self._force_wanted = self._force_wanted or force
        loop = self._loop
        if loop is None:
            return  # nothing waits yet: starting obeys
        with suppress(RuntimeError):  # the loop has been closed: it has stopped
            # Wakes the loop, which an event that another thread sets does not.
            loop.call_soon_threadsafe(self._obey)

    def _obey(self) -> None:
        if self._stop_wanted:
            self._stop.set()
        if self._force_wanted:
            self._force.set()

    def run(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """``serve()`` on a loop of its own, which the setting ``loop`` chooses; until it ends.

        Raises ``RuntimeError`` where a loop is running in this thread, and what ``serve`` raises.
        """
        run_to_end(lambda: self.serve(sockets), loop_factory(self.config.loop, self.config.app_dir))

    async def serve(
        self, sockets: Sequence[socket.socket] | None = None, *, signals: bool = True
    ) -> None:
        """Start, serve until asked to stop, then stop gracefully.

        ``sockets`` are bound sockets to listen on instead of the configured address. With
        ``signals``, in the main thread, SIGINT and SIGTERM stop the server and a second one
        stops it at once; the handlers that were there before are put back.
        """
        if signals:
            prepare_logging(self.config)
            log_notes(self.config)
        with stop_on_signals(self) if signals else nullcontext():
            try:
                if not await self._start_unless_stopped(sockets):
                    return
            except BaseException as error:
                self._never_started(error)
                raise
            finally:
                self._never_started(StartupError("the server was stopped before it was ready"))
            if signals:
                self.say_listening()
            try:
                await self._stop.wait()
            finally:
                # A cancelled caller still gets an orderly end, in bounded time.
                with anyio.CancelScope(shield=True):
                    await self.close()

    def _never_started(self, error: BaseException) -> None:
        """End what waits for the start; nothing where it has come about, or failed before."""
        if not self._start_over.is_set():
            if isinstance(error, asyncio.CancelledError):
                asked = "stopped before it was ready" if self._stop_wanted else "cancelled"
                error = StartupError(f"the server was {asked}")
            self._failure = error
            self._start_over.set()

    def say_listening(self) -> None:
        """Log where the server can be reached and what it runs on."""
        words = ["1 worker", loop_name(asyncio.get_running_loop()), self.parser]
        if self.config.port_variable:
            words.append(f"port of {self.config.port_variable}")
        for where in self.places:
            logger.info("Listening on %s (%s), CTRL+C to stop", where, ", ".join(words))

    async def _start_unless_stopped(self, sockets: Sequence[socket.socket] | None) -> bool:
        """Start, or give up when asked to stop meanwhile; whether the server has started."""
        self._loop = asyncio.get_running_loop()
        self._obey()
        starting = asyncio.ensure_future(self.start(sockets))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not starting.done():
                starting.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait((starting,))
        if starting.cancelled():
            return False
        starting.result()
        return True

    def load(self) -> None:
        """Import the application now rather than in ``start``; raises ``StartupError``."""
        if self._application is not None:
            return
        try:
            self._application = load_application(self.config, self._answers)
        except FileNotFoundError:  # of os.getcwd; what the application raises is wrapped
            raise StartupError("the working directory does not exist any more") from None

    async def start(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Bind, run lifespan startup, then accept."""
        try:
            await self._start(sockets)
        except BaseException as error:
            self._never_started(error)
            raise
        self._accepting.set()
        self._start_over.set()

    async def _start(self, sockets: Sequence[socket.socket] | None) -> None:
        config = self.config
        loop = self._loop = asyncio.get_running_loop()
        self.load()
        application = self._application
        assert application is not None  # noqa: S101 - load() has raised, or set it
        context = self._context = self._make_context(application, loop)
        upgrades = Upgrades(config, context)
        switchboard = self.switchboard = Switchboard(config, context, upgrades, meter=self.metrics)
        self._tls = tls_for(config)
        try:
            if sockets is None:
                sockets = self._own_sockets = bind_sockets(config, 1)
            self._sockets = sockets
            self._kept_from_forks.enter_context(released_in_forks(sockets))
            self._lifespan = Lifespan(application, config.lifespan)
            self._lifespan.state[NOTICE] = context.shutdown_notice
            await self._lifespan.startup()
            if self.access is not None:  # lifespan may have configured logging
                self.access.look_at_logger()
            context.state = self._lifespan.state
            fresh = config.reset_contextvars
            context.variables = Context() if fresh else self._lifespan.variables
            context.clock.start()
            if self.balancer is not None:
                self.balancer.attach(context, switchboard.plain)
            for sock in sockets:
                await self._listen(context, switchboard, sock)
            await self._start_tls(context)
            if self.balancer is not None:
                self.balancer.serve(self.addresses)
        except BaseException as error:
            self._force.set()
            with anyio.CancelScope(shield=True):
                await self._end()
            if isinstance(error, OSError):
                raise StartupError(f"cannot start: {reason_of(error)}") from error
            raise

    async def _listen(
        self, context: WorkerContext, switchboard: Switchboard, sock: socket.socket
    ) -> None:
        config = self.config
        factory = switchboard.factory(fixed_endpoint(sock) or False, context.scheme)
        where = address_of(sock)
        balanced = None
        if self.balancer is not None:
            # The places are in the same order in every worker; sockets of former slots come last.
            known = self.addresses
            balanced = self.balancer, known.index(where) if where in known else len(known)
        door = await open_door(config, context, factory, sock, self._tls, balanced)
        self._listeners.append(door)
        self.addresses.append(where)
        self.places.append(describe(sock, config.scheme))

    async def _start_tls(self, context: WorkerContext) -> None:
        """What TLS has beside the listeners: files that change, plain HTTP that is sent on."""
        config = self.config
        if self._tls is not None and config.ssl_reload:
            context.clock.every_tick.append(_Unfailing(self._tls.look))
        if config.redirect_bind:
            address = self.addresses[0]
            port = config.redirect_port or (443 if isinstance(address, str) else address[1])
            listener, sock = await listen_for_redirects(config, context, port)
            self._listeners.append(listener)
            self._own_sockets = [*self._own_sockets, sock]
            self._kept_from_forks.enter_context(released_in_forks([sock]))
            self.redirects = describe(sock)

    def reload_certificates(self) -> None:
        """Read the certificate files again, for handshakes to come; without TLS do nothing.

        Files that cannot be used are logged, and the certificates in use stay.
        """
        if self._tls is not None:
            self._tls.reload()

    async def close(self) -> None:
        """Stop accepting, drain, run lifespan shutdown, release everything."""
        self._stop_wanted = True
        self._stop.set()
        await self._end()

    async def _end(self) -> None:
        self._accepting.clear()
        if self.balancer is not None and self._context is not None:
            self.balancer.leave()
            if self._mode is ShutdownMode.HANDOVER:
                self._close_listeners()
                await self.balancer.give_away(self._force, self.config.timeout_drain_idle)
        if self._context is not None:
            await self._announce_end(self._context)
        self._close_listeners()
        if self._context is not None:
            hint = "; a second signal ends it at once" if self._signals_end_it else ""
            budgets = Budgets.of(self.config)
            await drain(self._context, self._lifespan, self._force, budgets, hint)
            self._context.clock.stop()
            if self.balancer is not None:
                self.balancer.close()
            if self.access is not None:
                self.access.close()
        self._kept_from_forks.close()
        for sock in self._own_sockets:
            remove_unix_socket(sock)
        self._own_sockets = []
        self._failure = self._failure or StartupError("the server has stopped")

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    @property
    def _signals_end_it(self) -> bool:
        return self._mode is not ShutdownMode.HANDOVER and signals_stop_servers()

    async def _announce_end(self, context: WorkerContext) -> None:
        """Have clients know that the end comes, while connections are still accepted."""
        config, mode = self.config, self._mode
        delay = config.shutdown_delay if mode is ShutdownMode.NOTICE else 0.0
        grace = 0.0
        if mode is ShutdownMode.HANDOVER or delay:
            grace = config.timeout_drain_idle
        elif mode is ShutdownMode.NOTICE:
            grace = min(BRIEF, config.timeout_drain_idle)
        announce_end(context, grace)
        if not self._listeners or self._force.is_set():
            return
        if delay:
            logger.info("Accepting for %g s more", delay)
            await pause(self._force, delay)
        if mode is not ShutdownMode.HANDOVER:
            await accept_the_rest(self._sockets)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.close()

    def every_tick(self, call: Callable[[], None]) -> None:
        """Have ``call`` called about once a second while the server runs."""
        if self._context is not None:
            self._context.clock.every_tick.append(_Unfailing(call))

    def _make_context(
        self, application: ASGIApplication, loop: asyncio.AbstractEventLoop
    ) -> WorkerContext:
        config = self.config
        clock = Clock(
            loop,
            idle_timeout=config.timeout_keep_alive,
            shortest_timeout=min(filter(None, (getattr(config, name) for name in TIMED))),
            time_of_day=self.time_of_day,
        )
        defaults = DefaultFields(
            date=config.date_header,
            server=b"katana-asgi" if config.server_header else None,
            further=[
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in (*config.header, *hsts_field(config))
            ],
        )
        clock.every_second.append(defaults.refresh)
        routes = routes_of(config, self._answers)
        trusted = (
            TrustedProxies(config.forwarded_allow_ips, config.forwarded_fields)
            if config.proxy_headers
            else None
        )
        observers: list[Observer] = []
        if self.metrics is not None:
            observers.append(MetricsObserver(self.metrics))
        self.access = AccessLog.from_config(config, loop)
        if self.access is not None:
            observers.append(AccessObserver(self.access, trusted))
        return WorkerContext(
            config,
            identified(config, application),
            loop,
            clock,
            defaults,
            routes,
            trusted,
            combined(observers),
        )


class _Unfailing:
    """A call of every tick that may fail: logged the first time, and no reason for others to."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._failed = False

    def __call__(self) -> None:
        try:
            self._call()
        except Exception:
            if not self._failed:
                logger.exception("A fault of the server; it goes on")
            self._failed = True
        else:
            self._failed = False


async def serve(app: ASGIApplication | str | Config, **settings: Any) -> None:
    """Serve ``app`` in the running event loop until SIGINT, SIGTERM or cancellation.

    ``settings`` are those of ``Config``. Raises ``ConfigurationError`` and ``StartupError``.
    """
    server = Server(app, **settings)
    if server.config.workers > 1:
        raise ConfigurationError(
            "setting workers: serve() runs in this process; allowed: 1 (use katana_asgi.run)"
        )
    await server.serve()
