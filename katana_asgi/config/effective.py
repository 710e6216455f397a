"""The effective settings as TOML, each with a comment that says where it came from.

What is written here is a configuration file: read back, it gives the same settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.model import SETTINGS
from katana_asgi.config.static_files import StaticFiles, table_of
from katana_asgi.config.static_route import StaticRoute
from katana_asgi.config.values import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from katana_asgi.config.model import Config
    from katana_asgi.config.setting import Setting

__all__ = ["as_toml", "to_toml"]

_PLAIN: Final = StaticRoute("/")


def as_toml(config: Config, origins: Mapping[str, str]) -> str:
    """The whole configuration; ``origins`` as ``sources.load`` gives them.

    What TOML cannot hold, an application object or a body that is not text, becomes a comment.
    """
    lines: list[str] = []
    theme = ""
    for name, setting in SETTINGS.items():
        if setting.theme != theme:
            theme = setting.theme
            lines += ["", f"# {theme}"]
        if setting.kind in ("route", "static-dir"):
            continue  # a table, so it has to stand at the end
        lines.append(_line(config, setting, origins.get(name, "default")))
    lines += _routes(config.static_route, origins.get("static_route", "default"))
    lines += _static_dirs(config.static_dir, origins.get("static_dir", "default"))
    return "\n".join(lines[1:]) + "\n"


def to_toml(setting: Setting, value: Any) -> str:
    """One value in TOML."""
    match setting.kind:
        case "integer" | "processes" | "boolean":
            return to_text(setting, value)
        case "list" | "binds":
            return _array(value)
        case "field" | "file-route" | "certificate":
            return _array(to_text(setting, (member,)) for member in value)
        case _:
            return _string(to_text(setting, value))


def _line(config: Config, setting: Setting, origin: str) -> str:
    value = getattr(config, setting.name)
    if value is None:
        return f"# {setting.key} is not set"
    if setting.name == "host" and (config.bind or config.uds or config.fd is not None):
        return f"# {setting.key} is not used"
    if setting.name == "bind" and not value:
        return f"# {setting.key} is not used"
    if setting.name == "ssl_keyfile_password":
        return f"# {setting.key} is set"
    if setting.kind == "application" and not isinstance(value, str):
        return f"# {setting.key} is an object"
    return f"{setting.key} = {to_toml(setting, value)}  # {_comment(origin)}"


def _routes(routes: tuple[StaticRoute, ...], origin: str) -> list[str]:
    if not routes:
        return []
    lines = ["", f"[static-routes]  # {_comment(origin)}"]
    return lines + [_route(route) for route in routes]


def _route(route: StaticRoute) -> str:
    table = _content(route)
    if not table:
        return f"# {_string(route.path)} answers with {len(route.body)} bytes"
    if route.status != _PLAIN.status:
        table["status"] = str(route.status)
    if route.file or route.content_type != _PLAIN.content_type:
        table["content-type"] = _string(route.content_type)
    if route.headers:
        fields = ", ".join(f"{_string(name)} = {_string(text)}" for name, text in route.headers)
        table["headers"] = f"{{ {fields} }}"
    if route.methods != _PLAIN.methods:
        table["methods"] = _array(route.methods)
    if route.exclusive:
        table["exclusive"] = "true"
    if route.ready:
        table["ready"] = "true"
    entry = f"{{ {', '.join(f'{key} = {text}' for key, text in table.items())} }}"
    return f"{_string(route.path)} = {table['body'] if table.keys() == {'body'} else entry}"


def _content(route: StaticRoute) -> dict[str, str]:
    """The key that says what the content is; none where TOML cannot hold it."""
    if route.file:
        return {"file": _string(route.file)}
    if isinstance(route.body, str):
        return {"body": _string(route.body)}
    try:
        return {"body": _string(route.body.decode("utf-8"))}
    except UnicodeDecodeError:
        return {}


def _static_dirs(mounts: tuple[StaticFiles, ...], origin: str) -> list[str]:
    if not mounts:
        return []
    lines = ["", f"[static-dirs]  # {_comment(origin)}"]
    for mount in mounts:
        entries = ", ".join(f"{key} = {_plain(value)}" for key, value in table_of(mount).items())
        lines.append(f"{_string(mount.path)} = {{ {entries} }}")
    return lines


def _plain(value: object) -> str:
    """Text, a number, a truth value, a list of text or a table of text."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_string(key)} = {_string(v)}' for key, v in value.items())} }}"
    if isinstance(value, tuple):
        return _array(value)
    return _string(value) if isinstance(value, str) else str(value).lower()


def _array(members: Any) -> str:
    return f"[{', '.join(map(_string, members))}]"


def _string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL (TOML 1.0, "String")."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(origin: str) -> str:
    """A comment must not hold control characters, such as those of a file's name."""
    return "".join(char if char.isprintable() else "?" for char in origin)
