"""What settings cannot be had together; the one place that looks at more than one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.metrics_settings import MAX_ROUTES, admin_place, is_local
from katana_asgi.config.refusal import shown
from katana_asgi.config.tls_checks import check_tls
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLACES", "check_together"]

PLACES: Final = ("uds", "fd", "bind")
"""Where to listen instead of host and port: one of them."""

_OTHER_PLACES: Final = ("unix:", "fd:", "systemd")
_ALL_ADDRESSES: Final = frozenset({"", "0.0.0.0", "::"})


def check_together(values: dict[str, Any], given: Mapping[str, str]) -> list[str]:
    """Check ``values``, all settings by name, and put right what has one possible meaning.

    ``given`` has the settings that were given and, for the message, where. Returns a note for
    each value that is not used. Raises ``ConfigurationError``.
    """
    notes = _check_places(values, given)
    if values["reload"] and values["workers"] > 1:
        notes.append(
            f"{_origin(given, 'workers')}: {values['workers']} is not used: reload runs 1 worker"
        )
        values["workers"] = 1
    _check_application(values, given)
    _check_logs(values, given)
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
    return notes


def _check_places(values: dict[str, Any], given: Mapping[str, str]) -> list[str]:
    places = [name for name in PLACES if name in given]
    beside = [name for name in ("host", "port") if name in given]
    if len(places) > 1 or (places == ["bind"] and beside):
        first, second = (*places, *beside)[:2]
        raise ConfigurationError(
            f"{given[second]}: {shown(values[second])} cannot be combined with "
            f"{given[first]}; use one of host with port, uds, fd and bind"
        )
    if not places:
        return []
    return [
        f"{given[name]}: {shown(values[name])} is not used beside {given[places[0]]}"
        for name in beside
    ]


def _check_application(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    name = "supervise" if values["supervise"] else "workers"
    if (values["workers"] > 1 or values["supervise"]) and not isinstance(values["app"], str):
        raise ConfigurationError(
            f"{_origin(given, name)}: {values[name]} is not allowed with an application "
            'object, because each worker imports it; use 1, or "MODULE:ATTRIBUTE" as app'
        )
    if values["reload"] and not isinstance(values["app"], str):
        raise ConfigurationError(
            f"{_origin(given, 'reload')}: true is not allowed with an application object, because "
            'it is imported again; use "MODULE:ATTRIBUTE" as app'
        )


def _check_logs(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    if values["access_log_fields"] and values["access_log_format"] not in ("auto", "json"):
        raise ConfigurationError(
            f"{_origin(given, 'access_log_fields')}: fields are those of JSON lines; "
            "use json or auto as access_log_format"
        )


def _check_metrics(values: Mapping[str, Any], given: Mapping[str, str]) -> None:
    bind = values["admin_bind"]
    if bind and _is_own_address(bind, values):
        raise ConfigurationError(
            f"{_origin(given, 'admin_bind')}: {shown(bind)} is the address of the service itself; "
            "use another port"
        )
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


def _is_own_address(bind: str, values: Mapping[str, Any]) -> bool:
    """Whether the admin listener would be bound where the service listens."""
    place = admin_place(bind)
    if isinstance(place, str):
        return place == values["uds"] or bind in values["bind"]
    host, port = place
    if not port:
        return False
    if values["bind"]:
        tcp = [
            text.rpartition(":") for text in values["bind"] if not text.startswith(_OTHER_PLACES)
        ]
        return any(_overlaps(host, own.strip("[]")) and str(port) == its for own, _, its in tcp)
    if values["uds"] is not None or values["fd"] is not None:
        return False
    return port == values["port"] and _overlaps(host, values["host"])


def _overlaps(host: str, other: str) -> bool:
    return host == other or bool({host, other} & _ALL_ADDRESSES)


def _origin(given: Mapping[str, str], name: str) -> str:
    return given.get(name, f"setting {name}")
