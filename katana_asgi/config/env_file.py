"""A file of environment variables (setting ``env_file``); the only module that knows dotenv."""

from __future__ import annotations

import io
import os

from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

__all__ = ["load_env_file"]


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
    return frozenset(os.environ) - before
