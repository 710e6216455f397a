"""From flags, environment and file to one ``Config``; flags win, then the environment.

::

    defaults < file < WEB_CONCURRENCY and the like < KATANA_* < flags

The whole value of a setting comes from one place: a flag ``--header`` replaces the header
fields of a file, it does not add to them. One of host, uds and fd given higher up also takes
the place of another given lower down.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from katana_asgi.config.cross_checks import PLACES, check_together
from katana_asgi.config.directory import absolute, in_directory
from katana_asgi.config.env_file import load_env_file
from katana_asgi.config.model import SETTINGS, Config
from katana_asgi.config.refusal import at, shown, suggestion
from katana_asgi.config.setting import PREFIX
from katana_asgi.config.toml_file import EARLY, FileSettings, open_config_file
from katana_asgi.config.values import from_environment, from_python, from_texts
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["CONFIG_VARIABLE", "Loaded", "load"]

CONFIG_VARIABLE: Final = "KATANA_CONFIG"
BUILD_VARIABLE: Final = "KATANA_ASGI_NATIVE"
"""Of the build (``hatch_build.py``); an image that was built with it may still have it set."""
"""Names the configuration file, as --config does; the one such variable that is no setting."""


class Given(NamedTuple):
    """A value, where it was given as a person names it, and how high that place ranks."""

    value: Any
    origin: str
    rank: int


class Loaded(NamedTuple):
    """The configuration, and the origin of each setting that was given somewhere."""

    config: Config
    origins: Mapping[str, str]


def load(flags: Mapping[str, Sequence[str] | bool], config_file: str | None = None) -> Loaded:
    """Merge all sources; ``os.environ`` is read, and added to where an env file is given.

    ``flags`` are the flags given, by setting: their texts, or for a boolean which of the two.
    The file, the env file and ``chdir`` are paths from the directory that this is called in; all
    other paths begin in ``chdir``. Raises ``ConfigurationError`` with one line for the first
    thing that is wrong.
    """
    first = dict(_read_flags({name: flags[name] for name in EARLY if name in flags}))
    env_file = first.get("env_file") or _env_file_variable()
    loaded = _load_env_file(env_file)
    file = open_config_file(config_file or os.environ.get(CONFIG_VARIABLE) or None)
    from_file = {} if file is None else dict(_read_file(file.settings(early=True)))
    if env_file is None:
        loaded = _load_env_file(from_file.get("env_file"))
    _refuse_unknown_variables()
    early = {**from_file, **dict(_read_environment(loaded, EARLY)), **first}
    directory = ""
    if "chdir" in early and early["chdir"].value:
        early |= {name: _from_the_root(each) for name, each in early.items()}
        directory = early["chdir"].value
    with in_directory(directory):
        if file is not None:
            from_file = dict(_read_file(file.settings(early=False)))
        late = [name for name in SETTINGS if name not in EARLY]
        from_flags = dict(_read_flags({name: flags[name] for name in late if name in flags}))
        given = {**from_file, **dict(_read_environment(loaded, late)), **from_flags, **early}
        return _merged(given)


def _from_the_root(given: Given) -> Given:
    return given._replace(value=absolute(given.value))


def _merged(given: dict[str, Given]) -> Loaded:
    _settle_place(given)
    origins = {name: each.origin for name, each in given.items()}
    values = {name: setting.default for name, setting in SETTINGS.items()}
    values |= {name: each.value for name, each in given.items()}
    check_together(values, origins)
    return Loaded(Config(**values), origins)


def _read_flags(flags: Mapping[str, Sequence[str] | bool]) -> Iterator[tuple[str, Given]]:
    for name, given in flags.items():
        setting = SETTINGS[name]
        origin = "argument APP" if name == "app" else f"flag {setting.flag}"
        if isinstance(given, bool):
            origin = origin if given else f"flag --no-{setting.key}"
            yield name, Given(from_python(setting, given, origin), origin, 3)
        else:
            yield name, Given(from_texts(setting, given, origin), origin, 3)


def _read_file(file: FileSettings) -> Iterator[tuple[str, Given]]:
    for name, value in file.values.items():
        yield name, Given(value, file.origin(name), 1)


def _read_environment(
    from_env_file: frozenset[str], names: Iterable[str]
) -> Iterator[tuple[str, Given]]:
    for name in names:
        setting = SETTINGS[name]
        for variable in (setting.variable, *setting.environment):
            text = os.environ.get(variable)
            if text is None or (name == "env_file" and variable in from_env_file):
                continue
            origin = f"variable {variable}"
            if variable in from_env_file:
                origin += " (env file)"
            value = from_environment(setting, text, origin)
            if value is not None:
                yield name, Given(value, origin, 2)
                break


def _refuse_unknown_variables() -> None:
    known = {setting.variable: setting.name.upper() for setting in SETTINGS.values()}
    known |= {name: name.removeprefix(PREFIX) for name in (CONFIG_VARIABLE, BUILD_VARIABLE)}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            otherwise = f"{PREFIX}* is reserved for settings"
            # Without the prefix, which would make any two of them look alike.
            hint = suggestion(variable.removeprefix(PREFIX), known.values(), otherwise, PREFIX)
            raise ConfigurationError(f"unknown variable {shown(variable)}; {hint}")


def _env_file_variable() -> Given | None:
    setting = SETTINGS["env_file"]
    origin = f"variable {setting.variable}"
    text = os.environ.get(setting.variable, "")
    value = from_environment(setting, text, origin)
    return None if value is None else Given(value, origin, 2)


def _load_env_file(given: Given | None) -> frozenset[str]:
    if given is None:
        return frozenset()
    with at(given.origin):
        return load_env_file(given.value)


def _settle_place(given: dict[str, Given]) -> None:
    """Forget where a lower source wanted to listen, when a higher one wants it elsewhere."""
    highest = max((given[name].rank for name in PLACES if name in given), default=0)
    for name in PLACES:
        if name in given and given[name].rank < highest:
            del given[name]
