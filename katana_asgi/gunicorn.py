"""``gunicorn -k katana_asgi.gunicorn.KatanaWorker``: gunicorn's processes, this server in each.

gunicorn binds, forks, watches and replaces; its settings of the same meaning apply. The one
module that knows gunicorn.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from katana_asgi.config.model import Config
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.observe.loggers import ACCESS, ERROR, server_logger
from katana_asgi.worker.loop import loop_factory, run_to_end
from katana_asgi.worker.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

__all__ = ["KatanaWorker"]

SAME: Final = {
    "keepalive": "timeout_keep_alive",
    "graceful_timeout": "timeout_graceful_shutdown",
    "forwarded_allow_ips": "forwarded_allow_ips",
    "limit_request_fields": "limit_header_count",
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "ca_certs": "ssl_ca_certs",
    "cert_reqs": "ssl_cert_reqs",
    "ciphers": "ssl_ciphers",
    "backlog": "backlog",
    "access_log_format": "access_log_format",
}
"""Settings of gunicorn's, and ours that they set where they were given."""

TICK: Final = 1.0
"""Seconds between two signs of life."""


class KatanaWorker(Worker):  # type: ignore[misc] # it comes without types
    """A worker of gunicorn's with an event loop. ``SETTINGS`` has further settings of ours."""

    SETTINGS: ClassVar[Mapping[str, Any]] = {}

    def init_signals(self) -> None:
        """Leave signals to the event loop, but for those that come before it runs."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def run(self) -> None:
        """Serve until gunicorn says stop; exits with the status that it expects."""
        self._set_logs()
        try:
            config = Config(self.wsgi, **self.settings())
            run_to_end(
                partial(self._serve, Server(config)), loop_factory(config.loop, config.app_dir)
            )
        except (StartupError, ConfigurationError) as error:
            logging.getLogger(ERROR).error("%s", error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def settings(self) -> dict[str, Any]:
        """Our settings: those of gunicorn that were given, and ``SETTINGS``."""
        given = {
            ours: self.cfg.settings[theirs].get()
            for theirs, ours in SAME.items()
            if theirs in self.cfg.settings
            and self.cfg.settings[theirs].get() != self.cfg.settings[theirs].default
        }
        return {"access_log": bool(self.cfg.accesslog), **given, **self.SETTINGS}

    def _set_logs(self) -> None:
        """Our lines go where gunicorn's go."""
        for name, theirs in ((ERROR, self.log.error_log), (ACCESS, self.log.access_log)):
            logger = server_logger(name)
            logger.handlers = list(theirs.handlers)
            logger.setLevel(theirs.level)
            logger.propagate = False

    async def _serve(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        for number, force in (
            (signal.SIGTERM, False),
            (signal.SIGINT, True),
            (signal.SIGQUIT, True),
        ):
            loop.add_signal_handler(number, partial(server.stop, force=force))
        alive = asyncio.ensure_future(self._stay_alive(server))
        try:
            await server.serve(self._bound(), signals=False)
        finally:
            alive.cancel()

    def _bound(self) -> list[socket.socket]:
        return [getattr(each, "sock", each) for each in self.sockets]

    async def _stay_alive(self, server: Server) -> None:
        """Tell gunicorn that the loop runs; stop when gunicorn is gone or enough was served."""
        while True:
            self.notify()
            if os.getppid() != self.ppid or server.requests >= self.max_requests:
                server.stop()
            await asyncio.sleep(TICK)
