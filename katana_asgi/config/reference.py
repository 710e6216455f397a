"""The settings reference in Markdown, made from the settings: docs/reference/settings.md.

``python -m katana_asgi.config.reference`` writes it to standard output.
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING, Final

from katana_asgi.config.effective import to_toml
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.units import format_duration, format_size
from katana_asgi.config.values import KINDS

if TYPE_CHECKING:
    from katana_asgi.config.setting import Setting

__all__ = ["settings_page"]

COLUMNS: Final = ("Flag", "Environment", "File key", "Type", "Default", "Meaning")

INTRODUCTION: Final = """\
# Settings

<!-- Made by `python -m katana_asgi.config.reference`; do not edit by hand. -->

Every setting has one name. `timeout_keep_alive` is the flag `--timeout-keep-alive`, the environment
variable `KATANA_TIMEOUT_KEEP_ALIVE`, the file key `timeout-keep-alive` and the keyword
`timeout_keep_alive` of `Config`, `run()` and `serve()`.

## Where settings come from

Flags win over environment variables, those over the file, the file over defaults. The whole value
of a setting comes from one of them: `--header` replaces the header fields of a file.

- **Flags**: `katana-asgi APP [OPTIONS]`. A boolean has two, `--access-log` and
  `--no-access-log`, or takes `true` or `false`. The members of a list are separated by commas, and
  flags that are given again add to them. uvicorn's flags are all taken, see
  [switching](../switching.md).
- **Environment**: `KATANA_…`. `WEB_CONCURRENCY` and `FORWARDED_ALLOW_IPS` are read where the
  variable of our own is not set. A boolean is `1`, `true`, `yes`, `on` or `0`, `false`, `no`,
  `off`. Where a flag is repeatable, each line of the variable is one member. An empty variable
  counts as not set, except for text, lists and repeatable settings. Variables `KATANA_…` that are
  no settings are ignored with a warning; so are Kubernetes service links such as
  `KATANA_PORT=tcp://…`. `PORT` is used where neither a port nor another address is given, and then
  the host is `0.0.0.0` unless it is given.
- **Env file**: `--env-file FILE` puts variables into the environment before it is read and before
  the application is imported. Variables that are set already stay.
- **File**: `--config FILE` or `KATANA_CONFIG` names a TOML file. The settings are its top-level
  keys, or those of a table `[katana-asgi]`. Without either, the table `[tool.katana-asgi]` of
  `./pyproject.toml` is read where there is one. Keys may have dashes or underscores; an unknown
  key is an error. Relative paths start at the current directory, as those of flags do.

`--check-config` checks everything that can be known without importing the application and binding
an address, missing extras and directories included. `--print-config` prints the effective settings
as a file, each with its origin. A setting that cannot be used ends the command with one line and
the exit status 2.

## Units and types

- A **duration** is a number of seconds, or a number with `ms`, `s`, `m` or `h`.
- A **size** is a number of bytes, or a number with `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000) or
  `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024).
- In a file both are numbers or text; a **list** is an array or comma-separated text; **fields** are
  an array of `"Name: value"` or a table; **routes** are an array of `"PATH=…"` or a table.
- In Python durations are seconds and sizes bytes, and text is read as from a variable; `None` means
  no limit where 0 does, else the default.
"""

ROUTES: Final = """\
An entry of the table `[static-routes]` is the body, or a table with `body` or `file` and, where
wanted, `status`, `content-type`, `headers` (a table), `methods` (an array), `exclusive` (true:
other methods get 405 instead of reaching the application) and `ready` (true: 503 while the worker
drains, for a readiness probe).

```toml
[static-routes]
"/healthz" = "ok"
"/robots.txt" = { file = "public/robots.txt" }
"/hello/{name}" = { body = "<p>Hello, {name}</p>", content-type = "text/html; charset=utf-8" }
"/old" = { body = "", status = 308, headers = { Location = "/new" } }
```
"""


STATIC_DIRS: Final = """\
An entry of the table `[static-dirs]` is the directory, or a table with `directory` and, where
wanted: `index` (an array of names), `fallback` (`"application"`, `"404"`, or a file for pages of an
application of one page), `not-found` (a file sent with a 404), `listing`, `symlinks` (`"inside"`,
`"anywhere"`, `"never"`), `dotfiles`, `precompressed`, `max-age`, `immutable` (names that hold a
hash), `cache-control` (a table of patterns and values), `headers`, `media-types` (a table of
suffixes and types) and `nosniff`. [files.md](../files.md) explains them.

```toml
[static-dirs]
"/assets" = { directory = "dist/assets", immutable = true, max-age = "1h" }
"/" = { directory = "dist", fallback = "/index.html", cache-control = { "*.html" = "no-cache" } }
```
"""


def settings_page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for theme, group in groupby(SETTINGS.values(), lambda setting: setting.theme):
        rows = [_row(COLUMNS), _row(("---",) * len(COLUMNS))]
        rows += [_row(_cells(setting)) for setting in group]
        parts.append(f"## {theme}\n\n" + "\n".join(rows) + "\n")
        if "routes" in theme:
            parts.append(ROUTES)
        if theme == "Static files":
            parts.append(STATIC_DIRS)
    return "\n".join(parts)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(setting: Setting) -> tuple[str, ...]:
    flags = [*setting.aliases, setting.flag]
    if setting.kind in ("boolean", "switch"):
        flags.append(f"--no-{setting.key}")
    return (
        "`APP`" if setting.kind == "application" else _codes(flags),
        _codes([setting.variable, *setting.environment]),
        _codes([setting.key, *setting.keys]),
        _type(setting),
        _default(setting),
        _prose(setting.help),
    )


def _prose(text: str) -> str:
    """Text without what Markdown would take for its own."""
    return text.replace("|", "\\|").replace("*", "\\*")


def _codes(words: list[str]) -> str:
    return " ".join(f"`{word}`" for word in words)


def _type(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    word = KINDS[setting.kind].word
    low = _bound(setting, setting.minimum or 0)
    if setting.maximum is not None:
        return f"{word}, {low} to {_bound(setting, setting.maximum)}"
    return f"{word}, at least {low}" if setting.minimum else word


def _bound(setting: Setting, value: float) -> str:
    if setting.kind == "duration":
        return format_duration(value)
    return format_size(int(value)) if setting.kind == "size" else f"{value:.0f}"


def _default(setting: Setting) -> str:
    if setting.default in (None, "", ()):
        return ""
    return f"`{to_toml(setting, setting.default)}`"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
