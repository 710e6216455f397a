"""katana-asgi: an asyncio-native ASGI server.

::

    katana_asgi.run("main:app", workers=6)          # a whole service, until it is stopped
    await katana_asgi.serve(app, port=8000)         # in a running event loop
    async with katana_asgi.Server(app, port=0) as server: ...
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from katana_asgi.config.model import Config, StaticFiles, StaticRoute

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.worker.server import Server, serve

__all__ = ["Config", "Server", "StaticFiles", "StaticRoute", "__version__", "run", "serve"]

__version__ = "0.1.0"


def run(app: ASGIApplication | str | Config, **settings: Any) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; ``settings`` are those of ``Config``.

    With ``workers`` above 1, ``app`` must be text (``"module:attribute"``), because every
    worker imports it for itself. With ``reload`` the process becomes a new one, and the call does
    not return.

    Raises ``ConfigurationError`` for settings that are not allowed, ``RuntimeError`` where an
    event loop is running already, and ``SystemExit`` with the status when the service could not
    start or gave up.
    """
    from katana_asgi.config.env_file import load_env_file
    from katana_asgi.fresh import begin_again
    from katana_asgi.launch import launch, refuse_in_loop

    refuse_in_loop()

    config = app.replace(**settings) if isinstance(app, Config) else Config(app=app, **settings)
    if config.env_file is not None:
        load_env_file(config.env_file)
    if config.reload:
        begin_again(config)
    status = launch(config)
    if status:
        sys.exit(status)


def __getattr__(name: str) -> Any:
    # A supervisor needs no event loop and --help no server: import them when they are asked for.
    if name in ("Server", "serve"):
        from katana_asgi.worker import server

        return getattr(server, name)
    if name in ("logging", "main", "supervisors"):  # for import katana_asgi as uvicorn
        from importlib import import_module

        found = import_module(f"katana_asgi.uvicorn.{name}")
        return found.main if name == "main" else found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
