"""The pages for people who come from another server, made from the tables of its names.

``python -m katana_asgi.config.switching`` writes docs/switching.md to standard output.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from katana_asgi.config.foreign_options import SERVERS
from katana_asgi.config.model import SETTINGS
from katana_asgi.config.uvicorn_names import REFUSED, SYNONYMS, TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from katana_asgi.config.foreign_options import Foreign

__all__ = ["switching_page"]

INTRODUCTION: Final = """\
# Switching from another server

<!-- Made by `python -m katana_asgi.config.switching`; do not edit by hand. -->

## Switching from uvicorn

Commands only change their name: `katana-asgi main:app --host 0.0.0.0 --port 8000 --workers 4`.
Every flag of uvicorn is a flag of katana-asgi, and every value is accepted. Most mean the same;
the [settings reference](reference/settings.md) describes them. The table lists the others. A value
without an effect is reported once, as a warning, when the server starts.

{uvicorn}

What else is different:

- Defaults: idle connections stay open for 75 seconds (uvicorn: 5), running requests get 30 seconds
  on shutdown (uvicorn: no limit), and one worker process is started without a supervisor.
- Only X-Forwarded-For and X-Forwarded-Proto of trusted proxies are used, as in uvicorn; the setting
  `forwarded-fields` adds others.
- A factory without `--factory` is called, with a warning.
- `UVICORN_…` variables are not read; a warning lists those that are set and our names for them.
  `WEB_CONCURRENCY` and `FORWARDED_ALLOW_IPS` are read. `PORT`, which platforms set, is used where
  neither a port nor another address is given, and then means all interfaces.

### Programs

One import is enough for a program that starts the server itself:

```python
import katana_asgi as uvicorn  # or: import katana_asgi.uvicorn as uvicorn
```

`katana_asgi.run`, `Config` and `Server` take uvicorn's keywords and values. `katana_asgi.uvicorn`
is closer still: its `Config` has uvicorn's attributes, which can be changed, and methods such as
`load`; its `Server` has `servers` and `server_state`, and can be subclassed (`startup`,
`main_loop`, `on_tick`, `shutdown`, `handle_exit`, `install_signal_handlers`). Keywords that differ:

{keywords}

Run a program that cannot be changed with `katana-asgi exec`, which puts katana-asgi in the place of
uvicorn, also for its child processes:

```sh
katana-asgi exec fastapi run main.py
katana-asgi exec litestar --app main:app run
katana-asgi exec python gradio_app.py
```

Litestar has a [plugin](guide/frameworks.md#litestar), Django a
[command](guide/frameworks.md#django). The start commands of FastAPI, Litestar, mcp, FastMCP,
Gradio, NiceGUI, Chainlit, Datasette, Shiny, marimo and FastHTML are tested.

### Logs

The loggers are `katana_asgi.error` and `katana_asgi.access`. What is set on `uvicorn.error` and
`uvicorn.access` (handlers, filters, levels, `disabled`) applies to them as well, whether it is set
by a log configuration or by the application, before the start or later. Messages that applications
write to `uvicorn.error` appear like the server's own. Access log records have uvicorn's `args`
(client, method, target, HTTP version, status) and, as attributes, everything an access log format
can show: `status`, `duration`, `request_id`, `path` and so on.

"""

SERVER: Final = """\
## Switching from {title}

{text}

{table}
"""

TEXTS: Final = {
    "gunicorn": (
        "gunicorn",
        "Give `katana-asgi` the line that you have: it ends with status 2 and prints the whole "
        "equivalent line. A configuration file (`-c`) is read for constants, and not run. To keep "
        "gunicorn's process manager, use our worker class: `gunicorn -k "
        "katana_asgi.gunicorn.KatanaWorker main:app`.",
    ),
    "hypercorn": (
        "Hypercorn",
        "Give `katana-asgi` the line that you have: it ends with status 2 and prints the whole "
        "equivalent line, with the settings of a TOML file (`-c`).",
    ),
    "granian": (
        "granian",
        "Give `katana-asgi` the line that you have: options that differ end it with status 2 and "
        "the whole equivalent line. Applications speak ASGI or WSGI; RSGI is not available.",
    ),
}


def switching_page() -> str:
    """The whole page."""
    page = INTRODUCTION.format(uvicorn=_uvicorn_table(), keywords=_keyword_table())
    for server, (title, text) in TEXTS.items():
        rows = [_foreign_row(option) for option in SERVERS[server]]
        table = _table((f"{title}", "katana-asgi", "Note"), rows)
        page += SERVER.format(title=title, text=text, table=table) + "\n"
    return page.rstrip() + "\n"


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _uvicorn_table() -> str:
    rows = [
        (_code(f"--{_dashed(name)}"), _ours(taken.ours), _sentence(taken.note))
        for name, taken in TAKEN.items()
        if taken.flag and name not in SETTINGS
    ]
    rows += list(_synonym_rows())
    return _table(("uvicorn", "katana-asgi", "Note"), rows)


def _synonym_rows() -> Iterator[tuple[str, str, str]]:
    for name, values in SYNONYMS.items():
        if name not in SETTINGS:
            continue
        for value, synonym in values.items():
            yield (
                _code(f"--{_dashed(name)} {value}"),
                _code(f"--{_dashed(name)} {synonym.value}"),
                _sentence(synonym.note),
            )


def _keyword_table() -> str:
    rows = [
        (_code(name), _code(taken.ours) if taken.ours else "no effect", _sentence(taken.note))
        for name, taken in TAKEN.items()
        if name not in SETTINGS
    ]
    rows += [(_code(name), "refused", _sentence(reason)) for name, reason in REFUSED.items()]
    return _table(("uvicorn", "katana-asgi", "Note"), rows)


def _foreign_row(option: Foreign) -> tuple[str, str, str]:
    names = " ".join(map(_code, option.names))
    return names, _code(option.ours) if option.ours else "not needed", _sentence(option.note)


def _ours(name: str) -> str:
    return _code(f"--{_dashed(name)}") if name else "no effect"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _code(text: str) -> str:
    return f"`{text}`"


def _sentence(text: str) -> str:
    """A note as a sentence; one that begins with the name of a setting begins with it."""
    if not text:
        return ""
    first = text.partition(" ")[0]
    begin = text[:1] if "-" in first or "_" in first else text[:1].upper()
    return f"{begin}{text[1:]}.".replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(switching_page())
