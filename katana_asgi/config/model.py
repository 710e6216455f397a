"""Every setting of the server, once: name, type, default, help and spelling.

Flags, environment variables, file keys, ``--print-config`` and the settings reference
are derived from the fields of the themes that the modules ``*_settings.py`` declare;
``SETTINGS`` lists them. A field's name is its spelling:
``timeout_keep_alive`` is ``--timeout-keep-alive``, ``KATANA_TIMEOUT_KEEP_ALIVE`` and the
file key ``timeout-keep-alive``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from katana_asgi.config.bind_settings import BindSettings
from katana_asgi.config.cache_settings import CacheSettings
from katana_asgi.config.compress_settings import CompressSettings
from katana_asgi.config.cross_checks import check_together
from katana_asgi.config.directory import absolute, in_directory
from katana_asgi.config.files_settings import FilesSettings
from katana_asgi.config.inspection_settings import InspectionSettings, ReloadSettings
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
from katana_asgi.config.values import from_python

__all__ = ["SETTINGS", "Config", "Kind", "StaticFiles", "StaticRoute"]


@dataclass(frozen=True, kw_only=True)
class Config(
    ReloadSettings,
    InspectionSettings,
    RequestIdSettings,
    AccessLogSettings,
    MetricsSettings,
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
    TlsSettings,
    BindSettings,
    SocketSettings,
    ApplicationSettings,
):
    """All settings of a server; frozen, checked when made.

    ``Config(app="main:app", port=0)`` takes final values: seconds, bytes; lists will do for
    tuples, and ``None`` for 0 where 0 is no limit. Text from flags, environment and files goes
    through ``config/sources.py``.

    Raises ``ConfigurationError`` for a value that is not allowed, and for values that cannot
    be had together.
    """

    themes: ClassVar[tuple[type, ...]] = (
        ApplicationSettings,
        SocketSettings,
        TlsSettings,
        BindSettings,
        ProcessSettings,
        ShutdownSettings,
        RecyclingSettings,
        IdentitySettings,
        HttpSettings,
        LimitSettings,
        WebSocketSettings,
        RouteSettings,
        FilesSettings,
        CompressSettings,
        CacheSettings,
        ProxySettings,
        ProxyProtocolSettings,
        LogSettings,
        InspectionSettings,
        ReloadSettings,
        AccessLogSettings,
        RequestIdSettings,
        MetricsSettings,
    )

    def __post_init__(self) -> None:
        """Replace each value by its checked form; paths are checked where they are used."""
        if self.chdir:
            for name in ("chdir", "env_file"):
                value = from_python(SETTINGS[name], getattr(self, name), f"setting {name}")
                object.__setattr__(self, name, value and absolute(value))
        with in_directory(self.chdir):
            self._check()

    def _check(self) -> None:
        given = {}
        for name, declared in SETTINGS.items():
            value = from_python(declared, getattr(self, name), f"setting {name}")
            object.__setattr__(self, name, value)
            if value != declared.default:
                given[name] = f"setting {name}"
        check_together(vars(self), given)

    def replace(self, **changes: Any) -> Self:
        """The same settings but for ``changes``, checked again. Raises ``ConfigurationError``."""
        return replace(self, **changes)


SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        declared.name: Setting.of(declared, theme.__doc__ or "")
        for theme in Config.themes
        for declared in fields(theme)
    }
)
"""Every setting by name, theme by theme."""
