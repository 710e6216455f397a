"""The command line: from arguments, environment and file to a running service.

The options are made from the settings; nothing is spelled twice. This is the only module that
exits; ``inspect_cli.py`` has the commands that look into a running service.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from katana_asgi.config.directory import current_directory, in_directory
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.sources import CONFIG_VARIABLE, Loaded, load
from katana_asgi.config.values import KINDS, to_text
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from katana_asgi.admin.client import AdminClient
    from katana_asgi.config.model import Config
    from katana_asgi.config.setting import Setting

__all__ = ["main"]

PROGRAM: Final = "katana-asgi"

INSPECTIONS: Final = ("profile", "dump")
"""The commands of ``inspect_cli.py``; an application's name has a colon."""

WRONG_SETTINGS: Final = 2
"""Exit status for settings and arguments that cannot be used."""

EPILOG: Final = """\
Durations are seconds or 500ms, 30s, 5m, 1h; sizes are bytes or 16KiB, 1MB. Flags win over
environment variables, those over the file, the file over defaults. An environment variable holds
one member on each line where a flag is repeatable. The commands profile and dump look into a
running service: katana-asgi profile --help."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command with ``arguments`` (default: those of the process) and exit.

    The status is 0 after a requested end, 2 for wrong settings, else what ``launch`` returns.
    """
    try:
        status = _run(arguments)
    except click.ClickException as error:
        status = _refuse(error.format_message())
    except ConfigurationError as error:
        status = _refuse(str(error))
    if arguments is None:
        from katana_asgi.worker.exiting import bound_the_exit

        bound_the_exit(status)
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in INSPECTIONS:
        from katana_asgi.inspect_cli import COMMANDS

        COMMANDS[words[0]].main(words[1:], f"{PROGRAM} {words[0]}", standalone_mode=False)
        return 0
    if words and words[0] in ("status", "top"):
        return _look(words[0], words[1:])
    params = _command().main(arguments, PROGRAM, standalone_mode=False)
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
    if "check_config" in wanted:
        with in_directory(loaded.config.chdir):
            _check(loaded.config)
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


def _look(command: str, arguments: Sequence[str]) -> int:
    """``status`` and ``top``: no application has such a name, as it would need a colon."""
    params = _looking_command(command).main(
        list(arguments), f"{PROGRAM} {command}", standalone_mode=False
    )
    if not isinstance(params, dict):  # --help has been answered
        return 0
    from katana_asgi.admin.client import AdminClient, Unreachable

    client = AdminClient(params["admin"], params["token"])
    try:
        if command == "top":
            _top(client)
        else:
            status = client.status()
            click.echo(_json(status) if params["json"] else _summary(status))
    except Unreachable as error:
        click.echo(f"{PROGRAM}: error: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _json(status: object) -> str:
    import json

    return json.dumps(status, indent=2)


def _summary(status: dict[str, Any]) -> str:
    from katana_asgi.admin.commands import summary

    return summary(status)


def _top(client: AdminClient) -> None:
    try:
        from katana_asgi.admin.top import run_top
    except ImportError as error:
        raise ConfigurationError(
            f"top needs {error.name}; use pip install 'katana-asgi[top]'"
        ) from None
    run_top(client)


def _looking_command(name: str) -> click.Command:
    params = [
        click.Option(
            ["--admin"],
            envvar=SETTINGS["admin_bind"].variable,
            default="",
            metavar="ADDRESS",
            help="The admin listener, as --admin-bind names it.",
            show_envvar=True,
        ),
        click.Option(
            ["--token"],
            envvar=SETTINGS["admin_token"].variable,
            default="",
            help="Its token.",
            show_envvar=True,
        ),
    ]
    if name == "status":
        params.append(click.Option(["--json"], is_flag=True, help="Everything, as JSON."))
    return click.Command(
        name,
        callback=lambda **given: given,
        params=list(params),
        help="Show what a running server does, from its admin listener.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _texts(value: str | Sequence[str] | bool) -> Sequence[str] | bool:
    return (value,) if isinstance(value, str) else value


def _refuse(message: str) -> int:
    click.echo(f"{PROGRAM}: error: {' '.join(message.splitlines())}", err=True)
    return WRONG_SETTINGS


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
    from katana_asgi.http1.scanning import back_end
    from katana_asgi.worker.loop import loop_factory

    _check_application(config)
    _check_routes(config)
    _check_certificates(config)
    back_end(config.http)
    loop_factory(config.loop)


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


class _Option(click.Option):
    """An option that knows under which heading --help lists it."""

    theme = "Configuration"

    @classmethod
    def of(cls, setting: Setting) -> _Option:
        """The option of a setting."""
        boolean = setting.kind == "boolean"
        flag = f"{setting.flag}/--no-{setting.key}" if boolean else setting.flag
        option = cls(
            [setting.name, *setting.aliases, flag],
            default=None,
            multiple=setting.repeatable or setting.kind == "list",
            metavar=None if boolean else _metavar(setting),
            help=_help(setting),
        )
        option.theme = setting.theme
        return option


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return f"[{'|'.join(setting.choices)}]"
    return setting.metavar or KINDS[setting.kind].word.upper()


def _help(setting: Setting) -> str:
    notes = [" ".join((setting.variable, *setting.environment))]
    if default := to_text(setting, setting.default):
        notes.insert(0, f"default: {default}")
    return f"{setting.help} [{'; '.join(notes)}]"


class _Command(click.Command):
    """A command whose --help groups the options by theme."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        for theme, group in groupby(options, _theme):
            with formatter.section(theme):
                records = [option.get_help_record(ctx) for option in group]
                formatter.write_dl([record for record in records if record is not None])


def _theme(option: click.Option) -> str:
    return option.theme if isinstance(option, _Option) else _Option.theme


def _command() -> click.Command:
    return _Command(
        PROGRAM,
        callback=lambda **params: params,
        params=[
            click.Argument(["app"], required=False, metavar="[APP]"),
            *[_Option.of(setting) for name, setting in SETTINGS.items() if name != "app"],
            _Option(
                ["--config"],
                metavar="FILE",
                help="TOML file with settings; by default [tool.katana-asgi] in ./pyproject.toml. "
                f"[{CONFIG_VARIABLE}]",
            ),
            _Option(
                ["--check-config"], is_flag=True, help="Check the whole configuration and exit."
            ),
            _Option(["--print-config"], is_flag=True, help="Print the effective settings as TOML."),
            _Option(["--version"], is_flag=True, help="Print versions and exit."),
        ],
        help=f"Serve APP, an ASGI application named MODULE:ATTRIBUTE. [{SETTINGS['app'].variable}]",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
