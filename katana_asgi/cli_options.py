"""The options of ``katana-asgi``, made from the settings, and how ``--help`` shows them."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from katana_asgi.config.foreign_lines import check_line
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.sources import CONFIG_VARIABLE
from katana_asgi.config.uvicorn_names import TAKEN
from katana_asgi.config.values import KINDS, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from katana_asgi.config.setting import Setting

__all__ = ["COMPLETE_VARIABLE", "PROGRAM", "completion_command", "prepared", "serve_command"]

PROGRAM: Final = "katana-asgi"

COMPLETE_VARIABLE: Final = "_KATANA_ASGI_COMPLETE"

SHELLS: Final = ("bash", "fish", "zsh")

SHORT: Final = frozenset(
    {
        "host", "port", "bind", "uds", "workers", "reload", "factory", "app_dir", "root_path",
        "env_file", "log_level", "log_format", "access_log", "forwarded_allow_ips", "ssl_certfile",
        "ssl_keyfile", "timeout_keep_alive", "timeout_graceful_shutdown", "limit_concurrency",
        "limit_max_requests", "static_route", "admin_bind",
    }
)  # fmt: skip
"""The settings that --help shows; --help-all shows all of them."""

EPILOG: Final = """\
Durations are seconds or 500ms, 30s, 5m, 1h; sizes are bytes or 16KiB, 1MB. Flags take precedence
over environment variables, those over the file, and the file over defaults."""

_SWITCHES: Final = frozenset(name for name, setting in SETTINGS.items() if setting.kind == "switch")
"""Settings whose flags may go without a value, and have a --no- beside them."""

_SENTENCE_END: Final = re.compile(r"\. (?=[A-Z])|; |: (?=HOST)")

_TRUTH: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class _Option(click.Option):
    """An option that knows under which heading --help lists it, and whether it does."""

    theme = "Configuration"
    short = True
    brief = ""

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
            shell_complete=lambda _ctx, _param, start: [
                CompletionItem(each) for each in setting.choices if each.startswith(start)
            ],
        )
        option.theme = setting.theme
        option.short = setting.name in SHORT
        option.brief = _brief(setting)
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


def _brief(setting: Setting) -> str:
    """The first sentence, and the default where that is not obvious."""
    sentence = _SENTENCE_END.split(setting.help, 1)[0].rstrip(".") + "."
    default = "" if setting.kind == "boolean" else to_text(setting, setting.default)
    return f"{sentence} [default: {default}]" if default else sentence


class _ServeCommand(click.Command):
    """A command whose --help groups the options by theme, and names the other commands."""

    commands: Mapping[str, str] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, all of them or the usual ones, and the commands."""
        everything = bool(ctx.meta.get("help_all"))
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        if everything:
            for theme, group in groupby(options, _theme):
                _write(ctx, formatter, theme, group)
        else:
            usual = [
                option for option in options if not isinstance(option, _Option) or option.short
            ]
            for option in usual:
                option.help = getattr(option, "brief", "") or option.help
            _write(ctx, formatter, "Options", usual)
        with formatter.section("Commands"):
            formatter.write_dl(list(self.commands.items()))


def _write(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, group: Iterable[click.Option]
) -> None:
    records = [option.get_help_record(ctx) for option in group]
    shown = [record for record in records if record is not None]
    if shown:
        with formatter.section(title):
            formatter.write_dl(shown)


def _theme(option: click.Option) -> str:
    return option.theme if isinstance(option, _Option) else _Option.theme


def _show_all(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.meta["help_all"] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def serve_command(commands: Mapping[str, str]) -> click.Command:
    """What ``katana-asgi`` does without the name of another command; ``commands`` are those."""
    taken = [
        _hidden(name, is_flag=each.switch)
        for name, each in TAKEN.items()
        if each.flag and name not in SETTINGS
    ]
    command = _ServeCommand(
        PROGRAM,
        callback=lambda **params: params,
        params=[
            click.Argument(
                ["app"],
                required=False,
                metavar="[APP]",
                shell_complete=lambda _ctx, _param, start: [
                    CompletionItem(name, help=text)
                    for name, text in commands.items()
                    if name.startswith(start)
                ],
            ),
            *[_Option.of(setting) for name, setting in SETTINGS.items() if name != "app"],
            *taken,
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
            _Option(
                ["--help-all"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_show_all,
                help="Show every option and exit.",
            ),
        ],
        help=f"Serve APP, an ASGI application named MODULE:ATTRIBUTE. [{SETTINGS['app'].variable}]",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    command.commands = commands
    return command


def _hidden(name: str, *, is_flag: bool) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    return click.Option([name, flag], is_flag=is_flag, default=None, hidden=True)


def prepared(words: Sequence[str], command: click.Command) -> list[str]:
    """``words`` with booleans as click reads them, all unknown options refused at once.

    uvicorn's ``--ws-per-message-deflate false`` is our ``--no-ws-per-message-deflate``. Raises
    ``ConfigurationError``.
    """
    switches: dict[str, str] = {}
    known = {"-h": False, "--help": False}
    for option in command.params:
        if isinstance(option, click.Option):
            known |= dict.fromkeys((*option.opts, *option.secondary_opts), not option.is_flag)
            if option.secondary_opts:
                switches |= dict.fromkeys(option.opts, option.secondary_opts[0])
    check_line(_with_bare_choices(words), known)
    return _with_plain_switches(_with_bare_choices(words), switches)


def _with_bare_choices(words: Sequence[str]) -> list[str]:
    """With the values of flags that may go without one: uvicorn's --http2, and switches."""
    made = list(words)
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        name = word.removeprefix("--no-").removeprefix("--").replace("-", "_")
        if word == "--http2" and following.lower() not in SETTINGS["http2"].choices:
            made[number] = "--http2=auto"
        elif name not in _SWITCHES:
            continue
        elif word == f"--no-{SETTINGS[name].key}":
            made[number] = f"{SETTINGS[name].flag}=off"
        elif following.lower() not in {*SETTINGS[name].choices, *_TRUTH}:
            made[number] = f"{word}=on"
    return made


def _with_plain_switches(words: Sequence[str], switches: Mapping[str, str]) -> list[str]:
    made: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in switches:
            if not equals and rest and rest[0].lower() in _TRUTH:
                value = rest.pop(0)
            if value:
                wanted = _TRUTH.get(value.lower())
                if wanted is None:
                    raise click.UsageError(f"Option {name!r} takes true or false, not {value!r}")
                word = name if wanted else switches[name]
        made.append(word)
    return made


def completion_command(commands: Mapping[str, str]) -> click.Command:
    """``katana-asgi completion SHELL``."""

    def completion(shell: str) -> None:
        """Print a script that completes the command line of katana-asgi in SHELL.

        Bash: eval "$(katana-asgi completion bash)" in ~/.bashrc.
        """
        kind: Any = get_completion_class(shell)
        click.echo(kind(serve_command(commands), {}, PROGRAM, COMPLETE_VARIABLE).source())

    return click.Command(
        "completion",
        callback=completion,
        params=[click.Argument(["shell"], type=click.Choice(SHELLS), metavar="SHELL")],
        help=completion.__doc__,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
