"""A file of environment variables (setting ``env_file``); the only module that knows dotenv."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["environment_without_file", "load_env_file", "read_again"]

_loaded: Final[dict[str, str]] = {}
"""What the file has put into the environment: a variable that comes from there must neither
stand in the way of the file when it is read again, nor survive its own line."""


def load_env_file(path: str) -> frozenset[str]:
    """Put the variables of the file into ``os.environ``; those that are set already stay.

    Returns the names that came from the file. Raises ``ConfigurationError`` where the file
    cannot be read or python-dotenv is not installed.
    """
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise ConfigurationError(
            f"env file {path!r} needs the package python-dotenv; pip install 'katana-asgi[env]'"
        ) from None
    before = frozenset(os.environ)
    try:
        load_dotenv(stream=io.StringIO(read_file(path).decode("utf-8")))
    except OSError as error:
        raise ConfigurationError(f"env file {path!r} cannot be read ({error.strerror})") from None
    except ValueError as error:  # not UTF-8, or a NUL that no variable can hold
        raise ConfigurationError(f"env file {path!r} is not text ({error})") from None
    finally:
        names = frozenset(os.environ) - before
        _loaded.update({name: os.environ[name] for name in names})
    return names


@contextmanager
def read_again() -> Iterator[None]:
    """Begin the block with the environment as it was before the file was loaded.

    Where the block raises, the environment is what it was before the block.
    """
    before = _take_back()
    try:
        yield
    except BaseException:
        _take_back()
        _loaded.update(before)
        os.environ.update(before)
        raise


def environment_without_file() -> dict[str, str]:
    """The environment for a program that loads the file itself."""
    return {name: value for name, value in os.environ.items() if _loaded.get(name) != value}


def _take_back() -> dict[str, str]:
    """Remove what the file has set and nothing has changed since; returns that."""
    found = {name: value for name, value in _loaded.items() if os.environ.get(name) == value}
    for name in found:
        del os.environ[name]
    _loaded.clear()
    return found
