"""``Config`` as uvicorn has it: attributes that may be changed, and methods that programs call."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.loader import find_application
from katana_asgi.config.log_defaults import LOGGING_CONFIG
from katana_asgi.config.model import Config as Settings
from katana_asgi.errors import KatanaError, StartupError
from katana_asgi.net.sockets import bind_sockets
from katana_asgi.observe.logs import TRACE, configure_logging
from katana_asgi.worker.loop import loop_factory

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOGGING_CONFIG", "LOG_LEVELS", "STARTUP_FAILURE", "Config", "Lifespan"]

STARTUP_FAILURE: Final = 3
"""Exit status where the application did not start."""

LOG_LEVELS: Final = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}

DEFAULTS: Final[dict[str, Any]] = {
    "host": "127.0.0.1", "port": 8000, "uds": None, "fd": None, "loop": "auto", "http": "auto",
    "http2": False, "ws": "auto", "ws_max_size": 16777216, "ws_max_queue": 32,
    "ws_ping_interval": 20.0, "ws_ping_timeout": 20.0, "ws_per_message_deflate": True,
    "lifespan": "auto", "env_file": None, "log_config": LOGGING_CONFIG, "log_level": None,
    "access_log": True, "use_colors": None, "interface": "auto", "reload": False,
    "reload_dirs": None, "reload_delay": 0.25, "reload_includes": None, "reload_excludes": None,
    "workers": None, "proxy_headers": True, "server_header": True, "date_header": True,
    "forwarded_allow_ips": None, "root_path": "", "limit_concurrency": None,
    "limit_max_requests": None, "limit_max_requests_jitter": 0, "backlog": 2048,
    "timeout_keep_alive": 5, "timeout_notify": 30, "timeout_graceful_shutdown": None,
    "timeout_worker_healthcheck": 5, "callback_notify": None, "ssl_keyfile": None,
    "ssl_certfile": None, "ssl_keyfile_password": None, "ssl_version": 17, "ssl_cert_reqs": 0,
    "ssl_ca_certs": None, "ssl_ciphers": None, "ssl_context_factory": None, "headers": None,
    "factory": False, "h11_max_incomplete_event_size": None, "reset_contextvars": False,
    "app_dir": None,
}  # fmt: skip
"""uvicorn's keywords, and the values that its attributes have where nothing was given."""

POSITIONAL: Final = ("host", "port", "uds", "fd", "loop", "http")
"""Keywords that may be given by position, after the application."""


class Lifespan:
    """What programs expect of ``config.lifespan_class``; ``Server.startup`` runs the lifespan."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.should_exit = False
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        """Nothing."""

    async def shutdown(self) -> None:
        """Nothing."""


class Config:
    """uvicorn's configuration; ``settings`` makes ours of it.

    What was not given has our default: an attribute that still has uvicorn's does not count.
    Raises ``TypeError`` for an unknown keyword.
    """

    lifespan_class = Lifespan

    reload: bool
    reload_delay: float
    workers: int
    uds: str | None
    host: str
    port: int
    timeout_keep_alive: int
    log_level: str | int | None
    log_config: Any
    root_path: str
    limit_max_requests: int | None

    def __init__(self, app: Any, *values: Any, **given: Any) -> None:
        given.update(zip(POSITIONAL, values, strict=False))
        unknown = next((name for name in given if name not in DEFAULTS), None)
        if unknown is not None or len(values) > len(POSITIONAL):
            raise TypeError(f"Config() got an unexpected argument {unknown or values[-1]!r}")
        self.app = app
        self.loaded = False
        self.loaded_app: Any = None
        self._given = set(given)
        vars(self).update({**DEFAULTS, **given})
        workers = given.get("workers")
        self.workers = int(os.environ.get("WEB_CONCURRENCY") or 1) if workers is None else workers
        self.reload_dirs = _listed(given.get("reload_dirs"))
        self.reload_includes = _listed(given.get("reload_includes"))
        self.reload_excludes = _listed(given.get("reload_excludes"))
        self.headers = list(given.get("headers") or [])
        self.settings()  # whatever is wrong is said here, as in uvicorn

    def settings(self, **changes: Any) -> Settings:
        """Our configuration. Raises ``ConfigurationError``."""
        values = {name: vars(self)[name] for name in DEFAULTS if self._counts(name)}
        if self.log_config is LOGGING_CONFIG:  # which counts where the program has changed it
            values.pop("log_config", None)
        return Settings(self.app, **{**values, **changes})

    def _counts(self, name: str) -> bool:
        """Whether an attribute was given, or set since."""
        if name in ("reload_dirs", "reload_includes", "reload_excludes", "headers"):
            return bool(vars(self)[name])
        if name == "workers":
            return self.workers != 1
        return name in self._given or vars(self)[name] != DEFAULTS[name]

    @property
    def is_ssl(self) -> bool:
        """Whether TLS is spoken."""
        return bool(vars(self)["ssl_certfile"] or vars(self)["ssl_keyfile"])

    @property
    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every response gets, without those of the server itself."""
        return [(name.lower().encode(), value.encode()) for name, value in self.headers]

    @property
    def should_reload(self) -> bool:
        """Whether to reload; only an application with a name can be."""
        return isinstance(self.app, str) and self.reload

    @property
    def use_subprocess(self) -> bool:
        """Whether processes of their own serve."""
        return self.reload or self.workers > 1

    @property
    def asgi_version(self) -> str:
        """The version of ASGI."""
        return "2.0" if vars(self)["interface"] == "asgi2" else "3.0"

    def configure_logging(self) -> None:
        """Set up the server's loggers."""
        configure_logging(self.settings())

    def load_app(self) -> Any:
        """Import the application, or end the process, as uvicorn does."""
        try:
            self.loaded_app = find_application(self.settings(workers=1, reload=False))
        except StartupError as error:
            self.configure_logging()
            logging.getLogger("katana_asgi.error").error("%s", error, exc_info=error.__cause__)
            sys.exit(1)
        return self.loaded_app

    def load(self) -> None:
        """Import the application."""
        self.load_app()
        self.loaded = True

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        """What makes the event loop."""
        settings = self.settings()
        return loop_factory(settings.loop, settings.app_dir)

    def setup_event_loop(self) -> None:
        """Nothing: ``Server.run`` makes its loop."""

    def bind_socket(self) -> socket.socket:
        """Bind the address, or end the process."""
        try:
            (sock,) = bind_sockets(self.settings(workers=1, reload=False), 1)
        except KatanaError as error:
            self.configure_logging()
            logging.getLogger("katana_asgi.error").error("%s", error)
            sys.exit(1)
        sock.set_inheritable(True)
        return sock


def _listed(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
