"""What a start needs besides the settings: libraries of extras, and directories for sockets."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from katana_asgi.config.model import Config

__all__ = ["check_extras", "check_socket_directories"]

NEEDED: Final = (
    ("admin_bind", "prometheus_client", "metrics"),
    ("otel", "opentelemetry", "otel"),
)
"""Settings, the library each of them imports, and the extra that installs it."""


def check_extras(config: Config) -> None:
    """Raise ``ConfigurationError`` where a setting needs a library that is not installed."""
    for name, library, extra in NEEDED:
        if getattr(config, name):
            _check_library(name, library, extra)
    if config.interface == "wsgi":
        _check_library("interface", "a2wsgi", "wsgi")


def _check_library(name: str, library: str, extra: str) -> None:
    if find_spec(library) is None:
        raise ConfigurationError(
            f"setting {name}: needs {library}; use pip install 'katana-asgi[{extra}]'"
        )


def check_socket_directories(config: Config) -> None:
    """Raise ``ConfigurationError`` for a Unix socket in a directory that is not there."""
    for name, path in _socket_paths(config):
        directory = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(directory):
            raise ConfigurationError(
                f"setting {name}: the directory of {path!r} does not exist; use one that does"
            )


def _socket_paths(config: Config) -> Iterator[tuple[str, str]]:
    if config.uds is not None:
        yield "uds", config.uds
    for name, places in (("bind", config.bind), ("admin_bind", (config.admin_bind,))):
        for place in places:
            if place.startswith("unix:") and not place.startswith("unix:@"):
                yield name, place.removeprefix("unix:")
