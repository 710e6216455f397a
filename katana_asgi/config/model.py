"""Every setting of the server, once: name, type, default, help and spelling.

Flags, environment variables, file keys, ``--print-config`` and the settings reference
are derived from the fields of the themes that the modules ``*_settings.py`` declare;
``SETTINGS`` lists them. A field's name is its spelling:
``timeout_keep_alive`` is ``--timeout-keep-alive``, ``KATANA_TIMEOUT_KEEP_ALIVE`` and the
file key ``timeout-keep-alive``.

The themes only declare fields. Their methods would never be called, since only ``Config`` is
made, and generating them took 7 % of the instructions of an import.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from katana_asgi.config.bind_settings import BindSettings
from katana_asgi.config.cache_settings import CacheSettings
from katana_asgi.config.compress_settings import CompressSettings
from katana_asgi.config.cross_checks import check_together
from katana_asgi.config.directory import absolute, in_directory
from katana_asgi.config.files_settings import FilesSettings
from katana_asgi.config.inspection_settings import InspectionSettings, ReloadSettings
from katana_asgi.config.log_defaults import changed_log_config
from katana_asgi.config.log_settings import AccessLogSettings, RequestIdSettings
from katana_asgi.config.metrics_settings import MetricsSettings
from katana_asgi.config.process_settings import (
    IdentitySettings,
    RecyclingSettings,
    ShutdownSettings,
)
from katana_asgi.config.protocol_settings import (
    HttpSettings,
    LimitSettings,
    WebSocketSettings,
)
from katana_asgi.config.proxy_settings import ProxyProtocolSettings
from katana_asgi.config.refusal import suggestion
from katana_asgi.config.service_settings import (
    ApplicationSettings,
    LogSettings,
    ProcessSettings,
    ProxySettings,
    RouteSettings,
    SocketSettings,
)
from katana_asgi.config.setting import Kind, Setting
from katana_asgi.config.static_files import StaticFiles
from katana_asgi.config.static_route import StaticRoute
from katana_asgi.config.tls_settings import TlsSettings
from katana_asgi.config.uvicorn_names import translate
from katana_asgi.config.values import from_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from katana_asgi.asgi_types import ASGIApplication

__all__ = ["SETTINGS", "Config", "Kind", "StaticFiles", "StaticRoute"]


@dataclass(frozen=True, kw_only=True)
class Config(
    MetricsSettings,
    RequestIdSettings,
    AccessLogSettings,
    ReloadSettings,
    InspectionSettings,
    LogSettings,
    ProxyProtocolSettings,
    ProxySettings,
    CacheSettings,
    CompressSettings,
    FilesSettings,
    RouteSettings,
    WebSocketSettings,
    LimitSettings,
    HttpSettings,
    IdentitySettings,
    RecyclingSettings,
    ShutdownSettings,
    ProcessSettings,
    BindSettings,
    TlsSettings,
    SocketSettings,
    ApplicationSettings,
):
    """All settings of a server; frozen, checked when made.

    ``Config("main:app", port=0)`` takes the settings as keywords, durations in seconds and sizes
    in bytes; text is read as flags and variables are, lists will do for tuples, and ``None`` is
    the default, or 0 where 0 is no limit. uvicorn's keywords and values are taken as well;
    ``notes`` says which of them mean something else here.

    Raises ``ConfigurationError`` for a value that is not allowed and for values that cannot be
    combined, and ``TypeError`` for an unknown keyword.
    """

    themes: ClassVar[tuple[Any, ...]]
    """The groups of settings, in the order in which they are shown."""

    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What a user should know about what was given; logged once, when the service starts."""

    port_variable: str = field(default="", compare=False, repr=False)
    """The variable that the port comes from, where it is none of ours."""

    def __init__(
        self,
        app: ASGIApplication | Callable[..., Any] | str = "",
        *,
        notes: Iterable[str] = (),
        port_variable: str = "",
        **settings: Any,
    ) -> None:
        """Check everything; see the class. Paths are checked in ``chdir``, where they are used."""
        directory = ""
        if settings.get("chdir"):
            for name in ("chdir", "env_file"):
                given = from_python(SETTINGS[name], settings.get(name), f"setting {name}")
                settings[name] = given and absolute(given)
            directory = settings["chdir"]
        with in_directory(directory):
            values, found = _checked({"app": app, **settings})
        values["notes"] = tuple(dict.fromkeys([*notes, *found]))
        values["port_variable"] = port_variable
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> Self:
        """The same settings but for ``changes``, checked again. Raises ``ConfigurationError``."""
        same = {each.name: getattr(self, each.name) for each in fields(self)}
        if same["log_config"] is None:
            del same["log_config"]  # not given is not the same as None given: see log_config
        return type(self)(**{**same, **changes})


def _checked(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The final value of every setting, and notes."""
    meant, notes = _from_program(settings)
    values: dict[str, Any] = {}
    given = {}
    for name, declared in SETTINGS.items():
        values[name] = from_python(declared, meant.get(name, declared.default), f"setting {name}")
        if values[name] != declared.default:
            given[name] = f"setting {name}"
    notes += check_together(values, given)
    for name in ("reload_include", "reload_exclude"):
        values[name] = _with_defaults(values, name)
    return values, notes


def _from_program(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings that keywords mean, and notes on those that mean something else here."""
    meant: dict[str, Any] = {}
    notes: list[str] = []
    for keyword, given in settings.items():
        name, value, note = keyword, given, ""
        if keyword not in SETTINGS or given is not None:
            name, value, note = translate(keyword, given, f"setting {keyword}")
        if name and name not in SETTINGS:
            hint = suggestion(name, SETTINGS, "the settings reference lists all")
            raise TypeError(f"Config() got an unexpected keyword argument {name!r}; {hint}")
        notes += [note] if note else []
        if name and (name == keyword or value is not None):
            meant[name] = value
    if "log_config" in settings and settings["log_config"] is None:
        meant["log_config"] = {}  # as in uvicorn: the program configures logging itself
    elif "log_config" not in settings:
        meant["log_config"] = changed_log_config()
    if meant.get("forwarded_allow_ips") is None:
        declared = SETTINGS["forwarded_allow_ips"]
        text = next(filter(None, map(os.environ.get, declared.environment)), None)
        meant["forwarded_allow_ips"] = declared.default if text is None else text
    return meant, notes


def _with_defaults(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Patterns given are added to the usual ones, but for those that the other list has."""
    other = values["reload_exclude" if name == "reload_include" else "reload_include"]
    default = SETTINGS[name].default
    usual = [each for each in default if each not in other]
    return tuple(dict.fromkeys([*usual, *(each for each in values[name] if each not in default)]))


Config.themes = tuple(reversed(Config.__bases__))

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        declared.name: Setting.of(declared, theme.theme)
        for theme in Config.themes
        for declared in fields(theme)
    }
)
"""Every setting by name, theme by theme."""
