"""From flags, environment and file to one ``Config``; flags win, then the environment.

::

    defaults < PORT < file < WEB_CONCURRENCY and the like < KATANA_* < flags

The whole value of a setting comes from one place: a flag ``--header`` replaces the header
fields of a file, it does not add to them. An address given higher up, as host and port, uds, fd
or bind, also takes the place of another kind of address given lower down.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from katana_asgi.config.ambient import (
    PORT_VARIABLE,
    is_service_link,
    notes_on_variables,
    platform_port,
    unused_sockets,
)
from katana_asgi.config.cross_checks import PLACES, check_together
from katana_asgi.config.directory import absolute, in_directory
from katana_asgi.config.env_file import load_env_file, read_again
from katana_asgi.config.model import SETTINGS, Config
from katana_asgi.config.refusal import at
from katana_asgi.config.toml_file import EARLY, FileSettings, open_config_file
from katana_asgi.config.uvicorn_names import substitute, translate
from katana_asgi.config.values import from_environment, from_python, from_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["CONFIG_VARIABLE", "Loaded", "load"]

CONFIG_VARIABLE: Final = "KATANA_CONFIG"
"""Names the configuration file, as --config does."""

BUILD_VARIABLE: Final = "KATANA_ASGI_NATIVE"
"""Of the build (``hatch_build.py``); an image that was built with it may still have it set."""


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

    ``flags`` are the flags given, by setting or by uvicorn's name: their texts, or for a boolean
    which of the two. The file, the env file and ``chdir`` are paths from the directory that this
    is called in; all other paths begin in ``chdir``. What an earlier call took from an env file is
    taken back first. Raises ``ConfigurationError`` with one line for the first thing that is
    wrong; then the environment stays as it was.
    """
    with read_again():
        return _load(flags, config_file)


def _load(flags: Mapping[str, Sequence[str] | bool], config_file: str | None) -> Loaded:
    notes: list[str] = []
    first = dict(_read_flags({name: flags[name] for name in EARLY if name in flags}, notes))
    env_file = first.get("env_file") or _env_file_variable()
    loaded = _load_env_file(env_file)
    file = open_config_file(config_file or os.environ.get(CONFIG_VARIABLE) or None)
    from_file = {} if file is None else dict(_read_file(file.settings(early=True), notes))
    if env_file is None:
        loaded = _load_env_file(from_file.get("env_file"))
    ours = {setting.variable for setting in SETTINGS.values()}
    notes += notes_on_variables(ours, {CONFIG_VARIABLE, BUILD_VARIABLE})
    early = {**from_file, **dict(_read_environment(loaded, EARLY, notes)), **first}
    directory = ""
    if "chdir" in early and early["chdir"].value:
        early |= {name: _from_the_root(each) for name, each in early.items()}
        directory = early["chdir"].value
    with in_directory(directory):
        if file is not None:
            from_file = dict(_read_file(file.settings(early=False), notes))
        late = {name: given for name, given in flags.items() if name not in EARLY}
        from_flags = dict(_read_flags(late, notes))
        names = [name for name in SETTINGS if name not in EARLY]
        from_variables = dict(_read_environment(loaded, names, notes))
        given = {**from_file, **from_variables, **from_flags, **early}
        return _merged(given, loaded, notes)


def _from_the_root(given: Given) -> Given:
    return given._replace(value=absolute(given.value))


def _merged(given: dict[str, Given], from_env_file: frozenset[str], notes: list[str]) -> Loaded:
    _drop_lower_places(given)
    port_variable = _add_platform_port(given, from_env_file)
    origins = {name: each.origin for name, each in given.items()}
    values = {name: setting.default for name, setting in SETTINGS.items()}
    values |= {name: each.value for name, each in given.items()}
    notes += check_together(values, origins)
    notes += filter(None, [unused_sockets(values)])
    settings = {name: values[name] for name in given}
    if values["uds"] is not None or values["fd"] is not None:  # and a note says so
        settings = {name: settings[name] for name in settings.keys() - {"host", "port"}}
    config = Config(**settings, notes=notes, port_variable=port_variable)
    return Loaded(config, origins)


def _read_flags(
    flags: Mapping[str, Sequence[str] | bool], notes: list[str]
) -> Iterator[tuple[str, Given]]:
    for flag, given in flags.items():
        origin = "argument APP" if flag == "app" else f"flag --{flag.replace('_', '-')}"
        if isinstance(given, bool) and flag in SETTINGS:
            origin = origin if given else f"flag --no-{SETTINGS[flag].key}"
            yield flag, Given(from_python(SETTINGS[flag], given, origin), origin, 3)
            continue
        texts = [str(given)] if isinstance(given, bool) else list(given)
        name, texts[-1], note = translate(flag, texts[-1], origin)
        notes += [note] if note else []
        if name:
            yield name, _given(name, texts, origin, 3)


def _read_file(file: FileSettings, notes: list[str]) -> Iterator[tuple[str, Given]]:
    notes += file.notes
    for name, value in file.values.items():
        yield name, Given(value, file.origin(name), 1)


def _read_environment(
    from_env_file: frozenset[str], names: Iterable[str], notes: list[str]
) -> Iterator[tuple[str, Given]]:
    for name in names:
        setting = SETTINGS[name]
        for variable in (setting.variable, *setting.environment):
            text = os.environ.get(variable)
            if text is None or (name == "env_file" and variable in from_env_file):
                continue
            if variable == setting.variable and is_service_link(variable, text):
                continue
            origin = _origin(variable, from_env_file)
            text, note = substitute(name, text, origin)
            notes += [note] if note else []
            value = text if isinstance(text, tuple) else from_environment(setting, text, origin)
            if value is not None:
                yield name, Given(value, origin, 2)
                break


def _given(name: str, texts: list[Any], origin: str, rank: int) -> Given:
    setting = SETTINGS[name]
    value = texts[-1] if isinstance(texts[-1], tuple) else from_texts(setting, texts, origin)
    return Given(value, origin, rank)


def _origin(variable: str, from_env_file: frozenset[str]) -> str:
    return f"variable {variable}" + (" (env file)" if variable in from_env_file else "")


def _add_platform_port(given: dict[str, Given], from_env_file: frozenset[str]) -> str:
    """Listen where a platform says, when no other place is given; the variable's name or none."""
    text = platform_port(os.environ.get(PORT_VARIABLE))
    if text is None or any(name in given for name in (*PLACES, "port")):
        return ""
    origin = _origin(PORT_VARIABLE, from_env_file)
    given["port"] = Given(from_texts(SETTINGS["port"], [text], origin), origin, 0)
    given.setdefault("host", Given("0.0.0.0", origin, 0))
    return PORT_VARIABLE


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


def _drop_lower_places(given: dict[str, Given]) -> None:
    """Forget the address of a lower source where a higher one gives another kind of address."""
    highest = max((given[name].rank for name in (*PLACES, "host") if name in given), default=0)
    for name in (*PLACES, "host"):
        if name in given and given[name].rank < highest:
            del given[name]
    if "bind" in given and "port" in given and given["port"].rank < highest:
        del given["port"]
