"""``run`` and the command, by uvicorn's names."""

from __future__ import annotations

import sys
from typing import Any

from katana_asgi.fresh import begin_again
from katana_asgi.launch import launch, refuse_in_loop
from katana_asgi.uvicorn.config import STARTUP_FAILURE, Config
from katana_asgi.uvicorn.server import Server

__all__ = ["STARTUP_FAILURE", "Config", "Server", "main", "run"]


def run(app: Any, **settings: Any) -> None:
    """Serve ``app`` until it is stopped; ``settings`` are uvicorn's.

    Raises ``SystemExit`` where the service did not start, ``ConfigurationError`` for settings
    that cannot be used.
    """
    refuse_in_loop()
    if settings.get("app_dir") is not None:
        sys.path.insert(0, str(settings["app_dir"]))
    config = Config(app, **settings)
    if config.use_subprocess:
        own = config.settings()
        if own.reload:
            begin_again(own)
        status = launch(own)
        if status:
            sys.exit(status)
        return
    server = Server(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def main(arguments: list[str] | None = None) -> None:
    """The command line; it ends the process."""
    from katana_asgi.cli import main as command

    command(arguments)
