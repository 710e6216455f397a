"""What settings cannot be had together; the one place that looks at more than one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.metrics_settings import MAX_ROUTES, is_local
from katana_asgi.config.refusal import shown
from katana_asgi.config.tls_checks import check_tls
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLACES", "check_together"]

PLACES: Final = ("host", "uds", "fd", "bind")
"""Where to listen: one of them. A port beside others says nothing, so it does no harm."""


def check_together(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Check ``values``, all settings by name.

    ``given`` has the settings that somebody gave and, for the message, where. Raises
    ``ConfigurationError``.
    """
    places = [name for name in PLACES if name in given]
    if len(places) > 1:
        raise ConfigurationError(
            f"{given[places[1]]}: {shown(values[places[1]])} cannot be combined with "
            f"{given[places[0]]}; use one of host, uds, fd and bind"
        )
    name = "supervise" if values["supervise"] else "workers"
    if (values["workers"] > 1 or values["supervise"]) and not isinstance(values["app"], str):
        raise ConfigurationError(
            f"{_origin(given, name)}: {values[name]} is not allowed with an application "
            'object, because each worker imports it; use 1, or "MODULE:ATTRIBUTE" as app'
        )
    if values["reload"] and values["workers"] > 1:
        raise ConfigurationError(
            f"{_origin(given, 'reload')}: true is not allowed with {values['workers']} workers; "
            "use 1 worker"
        )
    if values["reload"] and not isinstance(values["app"], str):
        raise ConfigurationError(
            f"{_origin(given, 'reload')}: true is not allowed with an application object, because "
            'it is imported again; use "MODULE:ATTRIBUTE" as app'
        )
    if values["access_log_fields"] and values["access_log_format"] not in ("auto", "json"):
        raise ConfigurationError(
            f"{_origin(given, 'access_log_fields')}: fields are those of JSON lines; "
            "use json or auto as access_log_format"
        )
    if values["interface"] == "wsgi" and values["lifespan"] == "on":
        raise ConfigurationError(
            f"{_origin(given, 'lifespan')}: 'on' is not allowed with interface wsgi, which has no "
            "lifespan; use auto or off"
        )
    if "none" in values["forwarded_fields"] and len(values["forwarded_fields"]) > 1:
        raise ConfigurationError(
            f"{_origin(given, 'forwarded_fields')}: {shown(values['forwarded_fields'])} is not "
            "allowed; use none, or the names of fields"
        )
    check_tls(values, given)
    _check_metrics(values, given)


def _check_metrics(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    bind = values["admin_bind"]
    if bind and not is_local(bind) and not values["admin_token"]:
        raise ConfigurationError(
            f"{_origin(given, 'admin_bind')}: {shown(bind)} can be reached from other machines; "
            "use a loopback address or unix:PATH, or set admin-token"
        )
    if len(values["metrics_routes"]) > MAX_ROUTES:
        raise ConfigurationError(
            f"{_origin(given, 'metrics_routes')}: {len(values['metrics_routes'])} paths are not "
            f"allowed; use {MAX_ROUTES} at most"
        )


def _origin(given: Mapping[str, str], name: str) -> str:
    return given.get(name, f"setting {name}")
