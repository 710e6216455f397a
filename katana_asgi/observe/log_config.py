"""``--log-config``: what ``logging.config`` takes, out of a file or from a program.

Formatters of ``uvicorn.logging`` are replaced by ours of the same names.
"""

from __future__ import annotations

import json
import logging.config
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from katana_asgi.config.directory import forget_modules
from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

__all__ = ["apply_log_config", "importing_from", "read_log_config"]

INI: Final = (".ini", ".conf", ".cfg")
"""Suffixes of files in the format of ``logging.config.fileConfig``."""

THEIRS: Final = "uvicorn.logging."
OURS: Final = "katana_asgi.uvicorn.logging."


def apply_log_config(given: str | Mapping[str, Any] | RawConfigParser) -> None:
    """Configure Python's logging as a file, or its content, says.

    What is there already stays enabled unless it says otherwise; ``version`` may be left out.
    Raises ``ConfigurationError`` for a file that cannot be read or used.
    """
    settings = read_log_config(given) if isinstance(given, str) else _replaced(given)
    label = f"log config {given}" if isinstance(given, str) else "setting log_config"
    try:
        if isinstance(settings, RawConfigParser):
            logging.config.fileConfig(settings, disable_existing_loggers=False)
        else:
            settings.setdefault("version", 1)
            settings.setdefault("disable_existing_loggers", False)
            logging.config.dictConfig(settings)
    except (
        ValueError, TypeError, AttributeError, ImportError, KeyError, OSError, ConfigError,
    ) as error:  # fmt: skip
        reasons = filter(None, (str(error), str(error.__cause__ or "")))
        raise ConfigurationError(f"{label}: {': '.join(reasons)}") from error


@contextmanager
def importing_from(app_dir: str, *, forget: bool) -> Iterator[None]:
    """Within the block, import from the application's directory first, as the application does.

    With ``forget`` what was imported from there is imported anew by others: a supervisor must
    not keep code that its next workers find changed.
    """
    directory = os.path.abspath(app_dir or ".")
    before = set(sys.modules)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)
        if forget:
            forget_modules(directory, before)


def read_log_config(path: str) -> dict[str, Any] | RawConfigParser:
    """What stands in the file; its suffix tells the format. Raises ``ConfigurationError``."""
    settings = _read(path)
    if not isinstance(settings, dict | RawConfigParser):
        raise ConfigurationError(f"log config {path}: is not a table of settings")
    replaced: dict[str, Any] | RawConfigParser = _replaced(settings)
    return replaced


def _replaced(settings: Any) -> Any:
    """A copy with our formatters instead of uvicorn's; handlers and the like stay the objects."""
    if isinstance(settings, RawConfigParser):
        copy = RawConfigParser()
        copy.read_dict(settings)
        for section in copy.sections():
            for key, text in copy.items(section):
                copy.set(section, key, text.replace(THEIRS, OURS) if key == "class" else text)
        return copy
    if isinstance(settings, Mapping):
        return {key: _replaced(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [_replaced(value) for value in settings]
    if isinstance(settings, str) and settings.startswith(THEIRS):
        return OURS + settings.removeprefix(THEIRS)
    return settings


def _read(path: str) -> Any:
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"log config {path}: cannot be read ({error})") from None
    suffix = Path(path).suffix.lower()
    try:
        if suffix in INI:
            parser = RawConfigParser()
            parser.read_string(text)
            return parser
        if suffix == ".json":
            return json.loads(text)
        if suffix == ".toml":
            return tomllib.loads(text)
        return _read_yaml(path, text)
    except (ValueError, RecursionError, ConfigError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"log config {path}: cannot be parsed ({reason})") from None


def _read_yaml(path: str, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            f"log config {path}: YAML needs PyYAML; install katana-asgi[yaml], or use JSON or TOML"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
