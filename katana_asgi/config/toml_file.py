"""The configuration file: which table of which file holds the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from katana_asgi.config.model import SETTINGS
from katana_asgi.config.reading import read_file
from katana_asgi.config.refusal import suggestion
from katana_asgi.config.uvicorn_names import substitute
from katana_asgi.config.values import from_toml
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EARLY", "ConfigFile", "FileSettings", "open_config_file"]

TABLE: Final = "katana-asgi"
PYPROJECT: Final = "pyproject.toml"

EARLY: Final = ("env_file", "chdir")
"""Settings that decide where the others are read and where their paths begin."""

_NAMES: Final = {key: name for name, s in SETTINGS.items() for key in (s.key, *s.keys)}


class FileSettings(NamedTuple):
    """What a file says: checked values by setting, the key of each as the file has it, notes."""

    label: str
    values: dict[str, object]
    keys: dict[str, str]
    notes: list[str]

    def origin(self, name: str) -> str:
        """ "file katana.toml key workers"."""
        return f"{self.label} key {self.keys[name]}"


class ConfigFile(NamedTuple):
    """A file whose settings have not been checked yet."""

    label: str
    table: dict[str, object]

    def settings(self, *, early: bool) -> FileSettings:
        """Those of ``EARLY``, or all others, checked.

        Raises ``ConfigurationError`` for an unknown key and a value that is not allowed.
        """
        result = FileSettings(self.label, {}, {}, [])
        for key, name, value in _known(self.label, self.table):
            if (name in EARLY) is not early:
                continue
            if name in result.keys:
                raise ConfigurationError(
                    f"{self.label}: {result.keys[name]} and {key} are the same setting"
                )
            result.keys[name] = key
            meant, note = substitute(name, value, result.origin(name))
            result.notes.extend([note] if note else [])
            result.values[name] = from_toml(SETTINGS[name], meant, result.origin(name))
        return result


def open_config_file(path: str | None) -> ConfigFile | None:
    """The file ``path``, or ``./pyproject.toml`` where it has settings.

    Raises ``ConfigurationError`` for a file that cannot be read.
    """
    if path is None:
        if not os.path.exists(PYPROJECT):
            return None
        table = _tool_table(_parse(PYPROJECT), required=False)
        return None if table is None else ConfigFile(f"file {PYPROJECT}", table)
    document = _parse(path)
    label = f"file {path}"
    if os.path.basename(path) == PYPROJECT:
        return ConfigFile(label, _tool_table(document, required=True, label=label) or {})
    return ConfigFile(label, _own_table(document, label))


def _parse(path: str) -> dict[str, object]:
    import tomllib  # most services have no file

    try:
        return tomllib.loads(read_file(path).decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"file {path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a path with NUL
        reason = " ".join(str(error).splitlines())
        raise ConfigurationError(f"file {path}: is not valid TOML ({reason})") from None


def _tool_table(
    document: dict[str, object], *, required: bool, label: str = f"file {PYPROJECT}"
) -> dict[str, object] | None:
    tool = document.get("tool")
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is None and not required:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{label}: has no table [tool.{TABLE}]")
    return table


def _own_table(document: dict[str, object], label: str) -> dict[str, object]:
    """The table [katana-asgi] where there is one, else the whole document."""
    table = document.get(TABLE)
    if table is None:
        return document
    if not isinstance(table, dict):
        raise ConfigurationError(f"{label}: {TABLE} is not a table")
    for key in document:
        if key.replace("_", "-") in _NAMES:
            raise ConfigurationError(f"{label}: key {key} stands outside the table [{TABLE}]")
    return table


def _known(label: str, table: dict[str, object]) -> Iterator[tuple[str, str, object]]:
    for key, value in table.items():
        name = _NAMES.get(key.replace("_", "-"))
        if name is None:
            hint = suggestion(key.replace("_", "-"), _NAMES, "--print-config shows all keys")
            raise ConfigurationError(f"{label}: unknown key {key!r}; {hint}")
        yield key, name, value
