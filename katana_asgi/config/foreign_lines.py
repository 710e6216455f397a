"""From a command line of gunicorn, Hypercorn or granian to the whole line of ours.

Used where a line has options that are none of ours: all of them are named at once.
"""

from __future__ import annotations

import ast
import os
import shlex
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from katana_asgi.config.foreign_options import SERVERS, Foreign
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.uvicorn_names import substitute
from katana_asgi.config.values import from_texts
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ForeignLine", "check_line"]

CONFIG_NAMES: Final = ("-c", "--config")
"""What names the configuration file of all three; gunicorn's is a Python program."""

USUAL_FILES: Final = {"gunicorn": "gunicorn.conf.py"}
"""Configuration files that are read without being named."""

_NO_MORE_OPTIONS: Final = "--"


class ForeignLine(ConfigurationError):
    """A line of another server; the message has several lines, one of which is to be copied."""


class Given(NamedTuple):
    """A part of a line: an option with its value where it has one, or an argument."""

    name: str
    value: str | None
    words: list[str]


def check_line(words: Sequence[str], known: Mapping[str, bool]) -> None:
    """Do nothing where all options of ``words`` are ``known``, by name whether they take a value.

    Raises ``ForeignLine`` for a line of another server, ``ConfigurationError`` for other unknown
    options.
    """
    parts = list(_parse(words, known))
    unknown = [part for part in parts if part.name and part.name not in known]
    theirs_as_well = [
        part
        for part in parts
        if (part.name == "--config" and (part.value or "").endswith(".py"))
        or (part.name in _VALUES and part.value in _VALUES[part.name])
    ]
    names = list(dict.fromkeys(part.name for part in (*unknown, *theirs_as_well)))
    if not names:
        return
    server = max(SERVERS, key=lambda each: sum(_knows(each, name) for name in names))
    theirs = [name for name in names if _knows(server, name)]
    if theirs:
        raise ForeignLine(_rewritten(server, parts, theirs, known))
    raise ConfigurationError(_complaint(names, known))


def _knows(server: str, name: str) -> bool:
    return name in _TABLES[server] or name in CONFIG_NAMES


_TABLES: Final = {
    server: {name: option for option in options for name in option.names}
    for server, options in SERVERS.items()
}

_SWITCHES: Final = {
    name: option.switch for table in _TABLES.values() for name, option in table.items()
}

_VALUES: Final = {
    name: option.values for table in _TABLES.values() for name, option in table.items()
}
"""The values that make an option theirs, though one of ours has the same name."""

_BY_FLAG: Final = {setting.flag: setting for setting in SETTINGS.values()}


def _parse(words: Sequence[str], known: Mapping[str, bool]) -> Iterator[Given]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == _NO_MORE_OPTIONS or not word.startswith("-") or word == "-":
            yield Given("", None, [word])
            continue
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(name) > 2:
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")
        if equals:
            yield Given(name, value, [word])
        elif _takes_value(name, known, rest):
            value = rest.pop(0)
            yield Given(name, value, [word, value])
        else:
            yield Given(name, None, [word])


def _takes_value(name: str, known: Mapping[str, bool], rest: Sequence[str]) -> bool:
    if not rest:
        return False
    if rest[0] in _VALUES.get(name, ()):
        return True
    if name in known:
        return known[name]
    if name in CONFIG_NAMES:
        return True
    return name in _SWITCHES and not _SWITCHES[name]


def _complaint(names: Sequence[str], known: Mapping[str, bool]) -> str:
    hints = []
    for name in names:
        near = get_close_matches(name, list(known), n=1)
        hints.append(f"{name!r}" + (f". Did you mean {near[0]!r}?" if near else ""))
    if len(hints) == 1:
        return f"No such option {hints[0]}"
    return f"No such options: {', '.join(hint.replace('. Did', '; did') for hint in hints)}"


def _rewritten(
    server: str, parts: Sequence[Given], theirs: Sequence[str], known: Mapping[str, bool]
) -> str:
    given = {part.name for part in parts}
    line = _Line(server, known, given)
    for part in parts:
        line.add(part)
    usual = USUAL_FILES.get(server, "")
    if usual and os.path.isfile(usual) and given.isdisjoint(CONFIG_NAMES):
        line.add(Given("-c", usual, []))
    line.keep_access_log()
    listed = ", ".join(theirs)
    are = "are options" if len(theirs) > 1 else "is an option"
    lines = [f"{listed} {are} of {server}; the same service with katana-asgi:", "", f"    {line}"]
    if line.notes:
        lines += ["", *(f"  {note}" for note in line.notes)]
    return "\n".join(lines)


class _Line:
    """Our line, put together part by part, and what has to be said about it."""

    def __init__(self, server: str, known: Mapping[str, bool], given: set[str]) -> None:
        self._server = server
        self._given = given  # flags, which take precedence over what a file says
        self._table = _TABLES[server]
        self._known = known
        self._application: list[str] = []
        self._options: list[str] = []
        self._environment: list[str] = []
        self._redirection: list[str] = []
        self.notes: list[str] = []

    def __str__(self) -> str:
        words = ["katana-asgi", *self._application, *self._options]
        line = " ".join([*self._environment, *map(shlex.quote, words)])
        return " ".join([line, *self._redirection])

    def add(self, part: Given) -> None:
        """Append what ``part`` is here."""
        if not part.name:
            self._add_argument(part.words[0])
        elif part.name in CONFIG_NAMES and (
            part.name == "-c" or part.name not in self._known or str(part.value).endswith(".py")
        ):
            self._add_file(part.value or "")
        elif part.name in self._table:
            self._add_option(self._table[part.name], part.name, part.value or "")
        elif part.name in self._known:
            self._options += part.words
        else:
            self.notes.append(f"{part.name}: not known to {self._server} either")

    def keep_access_log(self) -> None:
        """Their level has no effect on the access log; here it has none on one with a format."""
        options = {each.lower() for each in self._options}
        if (
            options & {"warning", "error", "critical"}
            and options & {"--access-log-file", "--access-logfile"}
            and not options & {"--access-log-format", "--access-logformat"}
        ):
            self._options += ["--access-log-format", "combined"]

    def _add_argument(self, word: str) -> None:
        if self._application:
            self._application.append(word)
            return
        interface, colon, rest = word.partition(":")
        if self._server == "hypercorn" and interface in ("asgi", "wsgi") and ":" in rest:
            word = rest
            self._options += ["--interface", "wsgi"] if interface == "wsgi" else []
        module, colon, attribute = word.partition(":")
        if attribute.endswith(")"):
            name, _, arguments = attribute.partition("(")
            word = f"{module}:{name}"
            self._options.append("--factory")
            if arguments != ")":
                self.notes.append(f"{attribute}: a factory is called without arguments here")
        elif not colon:
            word = f"{module}:{'application' if self._server == 'gunicorn' else 'app'}"
        self._application.append(word)
        if module.endswith("wsgi") and "wsgi" not in self._options:
            self._options += ["--interface", "wsgi"]

    def _add_option(self, option: Foreign, name: str, value: str) -> None:
        given = f"{name} {value}".strip()
        try:
            words = option.words(value)
            _check(words)
        except (ConfigurationError, ValueError) as error:
            self.notes.append(f"{given}: left out: {error}")
            return
        if name in ("-e", "--env"):
            self._environment.append(shlex.quote(value))
        elif words[:1] == ["2>>"]:
            self._redirection = ["2>>", shlex.quote(words[1])]
        elif words:
            if words != ["--interface", "wsgi"] or "wsgi" not in self._options:
                self._options += words
        elif option.note:
            self.notes.append(f"{given}: {option.note}")
        if words and option.note and option.convert is None:
            self.notes.append(f"{given}: {option.note}")

    def _add_file(self, path: str) -> None:
        kind, colon, rest = path.partition(":")
        place = rest if colon and kind in ("file", "toml", "python") else path
        if kind == "python":
            place = f"{place.replace('.', os.sep)}.py"
        try:
            settings, unclear = _settings_of(place, self._server)
        except (OSError, SyntaxError, ValueError) as error:
            self.notes.append(f"{place}: its settings could not be read ({error})")
            return
        keys = {_key(option): option for option in self._table.values()}
        for key, value in settings.items():
            option = keys.get(key)
            if key in ("wsgi_app", "application_path"):
                if not self._application:
                    self._add_argument(str(value))
            elif option is not None:
                if self._given.isdisjoint(option.names):
                    self._add_setting(option, key, value)
            else:
                self.notes.append(f"{key} in {place}: no option here")
        self.notes += [f"{key} in {place}: computed there, so set it here" for key in unclear]

    def _add_setting(self, option: Foreign, key: str, value: object) -> None:
        if option.switch:
            if value:
                self._add_option(option, option.names[-1], value if isinstance(value, str) else "")
            return
        for each in value if isinstance(value, list | tuple) else [value]:
            if each is not None:
                self._add_option(option, option.names[-1], str(each))


def _key(option: Foreign) -> str:
    return option.key or option.names[-1].strip("-").replace("-", "_")


def _check(words: Sequence[str]) -> None:
    """Raise ``ConfigurationError`` for a value that our option would refuse.

    Files are not looked for: they may be those of another machine.
    """
    setting = _BY_FLAG.get(words[0]) if len(words) > 1 else None
    if setting is not None and setting.kind not in ("path", "log-config", "list"):
        value, _ = substitute(setting.name, words[1], words[0])
        if isinstance(value, str):
            from_texts(setting, [value], words[0])


def _settings_of(path: str, server: str) -> tuple[dict[str, object], list[str]]:
    """The settings of a file, and the names of those that a program would have to compute.

    A Python file is parsed and not run; names that are none of the server's are its own variables.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not path.endswith(".py"):
        return dict(tomllib.loads(text)), []
    known = {_key(option) for option in SERVERS[server]} | {"wsgi_app", "application_path"}
    settings: dict[str, object] = {}
    unclear = []
    for name, value in _assignments(ast.parse(text)):
        if name not in known:
            continue
        try:
            settings[name] = ast.literal_eval(value) if value is not None else ""
        except (ValueError, TypeError):
            unclear.append(name)
    return settings, unclear


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """What gets a value at the top of a program; a function has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (
                (each.id, node.value) for each in node.targets if isinstance(each, ast.Name)
            )
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, None
