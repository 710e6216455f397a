"""The command line: from arguments, environment and file to a running service.

``cli_options.py`` makes the options from the settings, ``inspect_cli.py`` has the commands that
look into a running service, ``exec_cli.py`` the one that runs other programs.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import click

from katana_asgi.cli_options import (
    COMPLETE_VARIABLE,
    PROGRAM,
    completion_command,
    prepared,
    serve_command,
)
from katana_asgi.config.directory import current_directory, in_directory
from katana_asgi.config.foreign_lines import ForeignLine
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.sources import Loaded, load
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from katana_asgi.config.model import Config

__all__ = ["COMMANDS", "command_named", "main"]

COMMANDS: Final = {
    "serve": "Serve APP; the default.",
    "status": "Show what a running server does.",
    "top": "Show the same in a terminal, once a second (top extra).",
    "profile": "Sample the Python stacks of running workers.",
    "dump": "Print the stacks of all threads and tasks of running workers.",
    "exec": "Run a program that starts uvicorn, with katana-asgi in its place.",
    "completion": "Print a completion script for a shell.",
}
"""By their names, which no application can have: it needs a colon."""

WRONG_SETTINGS: Final = 2
"""Exit status for settings and arguments that cannot be used."""

FAILED: Final = 1
"""Exit status of a command that has not found a service, or cannot do what it should."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command with ``arguments`` (default: those of the process) and exit.

    The status is 0 after a requested end, 2 for wrong settings, else what ``launch`` returns.
    """
    try:
        status = _run(arguments)
    except (click.ClickException, ConfigurationError) as error:
        status = _refuse(error)
    if arguments is None:
        from katana_asgi.worker.exiting import bound_the_exit

        bound_the_exit(status)
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words and words[0] in COMMANDS else "serve"
    if words and words[0] == name:
        del words[0]
    if name == "serve":
        _look_for_a_command(words)
        return _run_serve(words)
    status = command_named(name).main(words, f"{PROGRAM} {name}", standalone_mode=False)
    return status if isinstance(status, int) else 0


def _look_for_a_command(words: list[str]) -> None:
    """Refuse what can only be the name of a command with a slip in it."""
    name = words[0] if words else ""
    if name.isalpha() and (near := get_close_matches(name, COMMANDS, n=1, cutoff=0.8)):
        raise ConfigurationError(f"{name!r} is no command; did you mean {near[0]}?")


def command_named(name: str) -> click.Command:
    """A command that looks into a service, or that serves in another way; raises ``KeyError``."""
    if name == "completion":
        return completion_command(COMMANDS)
    if name == "exec":
        from katana_asgi.exec_cli import execute

        return execute
    from katana_asgi import inspect_cli

    return inspect_cli.COMMANDS[name]


def _run_serve(words: list[str]) -> int:
    command = serve_command(COMMANDS)
    if COMPLETE_VARIABLE not in os.environ:
        words = prepared(words, command)
    params = command.main(words, PROGRAM, standalone_mode=False, complete_var=COMPLETE_VARIABLE)
    if not isinstance(params, dict):  # --help has been answered
        return 0
    config_file = params.pop("config")
    wanted = {name for name in ("check_config", "print_config", "version") if params.pop(name)}
    if "version" in wanted:
        click.echo(_versions())
        return 0
    start = current_directory()
    given = {name: value for name, value in params.items() if value not in (None, ())}
    flags = {name: _texts(value) for name, value in given.items()}
    loaded = load(flags, config_file)
    if not wanted:
        return _serve(loaded.config, partial(_load_again, flags, config_file, start))
    from katana_asgi.net.certificates import certificate_notes

    for note in loaded.config.notes:
        click.echo(f"{PROGRAM}: warning: {note}", err=True)
    if "check_config" in wanted:
        with in_directory(loaded.config.chdir):
            _check(loaded.config)
            for note in certificate_notes(loaded.config):
                click.echo(f"{PROGRAM}: warning: {note}", err=True)
        if "print_config" not in wanted:
            click.echo("configuration is valid")
    if "print_config" in wanted:
        _print(loaded)
    return 0


def _load_again(
    flags: dict[str, Sequence[str] | bool], config_file: str | None, start: str
) -> Config:
    """The settings as they are now, read where they were read at the start."""
    with in_directory(start):
        return load(flags, config_file).config


def _texts(value: str | Sequence[str] | bool) -> Sequence[str] | bool:
    return (value,) if isinstance(value, str) else value


def _refuse(error: Exception) -> int:
    usage = isinstance(error, ConfigurationError | click.UsageError)
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    if not isinstance(error, ForeignLine):  # whose lines are meant to be copied
        message = " ".join(message.splitlines())
    click.echo(f"{PROGRAM}: error: {message}", err=True)
    return WRONG_SETTINGS if usage else FAILED


def _serve(config: Config, reload: Callable[[], Config]) -> int:
    _check_application(config)
    with in_directory(config.chdir):
        if config.static_route or config.static_file_route:
            _check_routes(config)
        _check_certificates(config)
    # Imported here, like the checks: --help and mistakes are answered without a server.
    from katana_asgi.launch import launch

    return launch(config, reload)


def _check(config: Config) -> None:
    """All that can be known without importing the application and binding an address."""
    from katana_asgi.config.extras import check_extras, check_socket_directories
    from katana_asgi.http1.scanning import back_end
    from katana_asgi.worker.loop import loop_factory

    _check_application(config)
    _check_routes(config)
    _check_certificates(config)
    back_end(config.http)
    if ":" not in config.loop:  # else it is code of the application
        loop_factory(config.loop)
    check_extras(config)
    check_socket_directories(config)
    _check_log_config(config)


def _check_log_config(config: Config) -> None:
    if isinstance(config.log_config, str):
        from katana_asgi.observe.log_config import read_log_config

        read_log_config(config.log_config)


def _check_application(config: Config) -> None:
    if not config.app:
        app = SETTINGS["app"]
        raise ConfigurationError(
            f"no application given; use {PROGRAM} MODULE:ATTRIBUTE, {app.variable} or the "
            f"file key {app.key}"
        )


def _check_routes(config: Config) -> None:
    from katana_asgi.routes.table import RouteTable

    RouteTable.from_config(config)


def _check_certificates(config: Config) -> None:
    if config.ssl_certfile is not None:
        from katana_asgi.net.tls import Tls

        Tls(config)


def _print(loaded: Loaded) -> None:
    from katana_asgi.config.effective import as_toml

    # TOML is UTF-8 whatever the locale; paths may hold bytes that are not.
    text = as_toml(loaded.config, loaded.origins)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def _versions() -> str:
    import platform  # here and not above: all other uses of the command do without
    from importlib.metadata import PackageNotFoundError, version

    from katana_asgi import __version__
    from katana_asgi.codec import NATIVE

    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    parts.append("codec native" if NATIVE else "codec python")
    for package in ("uvloop", "httptools", "h11"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"no {package}")
    return f"{PROGRAM} {__version__} ({', '.join(parts)})"
