"""uvicorn's names on katana-asgi's server, for programs that start a server themselves.

``import katana_asgi.uvicorn as uvicorn`` serves ``uvicorn.run(app)``, ``uvicorn.Config`` and
``uvicorn.Server``, also subclassed and in a thread. ``katana-asgi exec PROGRAM`` puts this in the
place of uvicorn in a program that cannot be changed.
"""

from __future__ import annotations

from typing import Final

from katana_asgi.uvicorn.config import Config
from katana_asgi.uvicorn.main import main, run
from katana_asgi.uvicorn.server import Server

__all__ = ["Config", "Server", "main", "run"]

__version__: Final = "0.54.0"
"""The version of uvicorn whose names these are: programs compare it."""
