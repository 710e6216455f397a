"""``--log-config``: a dict for ``logging.config.dictConfig`` out of a file."""

from __future__ import annotations

import json
import logging.config
import tomllib
from typing import Any

from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

__all__ = ["apply_log_config"]


def apply_log_config(path: str) -> None:
    """Configure Python's logging as the file says; what is there already stays enabled.

    The suffix tells what it is: .json, .toml, .yaml or .yml. ``version`` may be left out.
    Raises ``ConfigurationError`` for a file that cannot be read or used.
    """
    settings = _read(path)
    if not isinstance(settings, dict):
        raise ConfigurationError(f"log config {path}: is not a table of settings")
    settings.setdefault("version", 1)
    settings.setdefault("disable_existing_loggers", False)
    try:
        logging.config.dictConfig(settings)
    except (ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
        reasons = filter(None, (str(error), str(error.__cause__ or "")))
        raise ConfigurationError(f"log config {path}: {': '.join(reasons)}") from error


def _read(path: str) -> Any:
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"log config {path}: cannot be read ({error})") from None
    try:
        if path.lower().endswith(".json"):
            return json.loads(text)
        if path.lower().endswith(".toml"):
            return tomllib.loads(text)
        return _read_yaml(path, text)
    except (ValueError, RecursionError) as error:
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
