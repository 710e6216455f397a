"""The static route as code, flags and files describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from katana_asgi.config.checks import check_readable
from katana_asgi.config.media_types import media_type_of
from katana_asgi.config.reading import read_file
from katana_asgi.config.refusal import NotAllowed, at, suggestion
from katana_asgi.errors import ConfigurationError

__all__ = ["StaticRoute", "route_from_table"]


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A response served from cached bytes, before any scope or task exists.

    ``path`` is matched exactly against the path of the request target (its query, if any,
    is ignored), or holds one placeholder for one path segment, such as ``/hello/{name}``;
    the segment is percent-decoded and inserted, escaped for the content type, wherever the
    body says ``{name}``. GET also answers HEAD. Other methods reach the application, or get
    405 with ``Allow`` where ``exclusive`` is true. ``ready`` states readiness: while the worker
    drains, the answer is 503. ``file`` only says where the body was read.

    The content is checked when the routes of a server are put together.
    """

    path: str
    body: bytes | str = b""
    _: KW_ONLY
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    methods: tuple[str, ...] = ("GET", "HEAD")
    content_type: str = "text/plain; charset=utf-8"
    exclusive: bool = False
    ready: bool = False
    file: str = field(default="", compare=False, repr=False)


def route_from_table(path: str, value: object) -> StaticRoute:
    """The route that an entry of ``[static-routes]`` describes: its body, or a table.

    Raises ``ConfigurationError``.
    """
    if isinstance(value, str):
        return StaticRoute(path, value)
    if not isinstance(value, Mapping):
        raise NotAllowed(value, "text, the body, or a table with a body or file", "is no route")
    entries = {str(key).replace("_", "-"): entry for key, entry in value.items()}
    for key in entries.keys() - _READERS.keys():
        hint = suggestion(key, _READERS, f"use {', '.join(_READERS)}")
        raise ConfigurationError(f"unknown key {key!r}; {hint}")
    if len(entries.keys() & {"body", "file"}) != 1:
        raise NotAllowed(dict(value), "one of the keys body and file")
    arguments: dict[str, object] = {}
    for key, entry in entries.items():
        with at(key):
            arguments |= _READERS[key](entry)
    if "file" in entries and "content-type" not in entries:
        arguments["content_type"] = media_type_of(str(entries["file"]))
    return StaticRoute(path, **arguments)  # type: ignore[arg-type] # each reader knows its type


def _read_body(entry: object) -> dict[str, object]:
    return {"body": _text(entry)}


def _read_file(entry: object) -> dict[str, object]:
    name = _text(entry)
    check_readable(name)
    try:
        return {"body": read_file(name), "file": name}
    except OSError as error:
        raise NotAllowed(name, "a readable file", f"cannot be read ({error.strerror})") from None


def _read_status(entry: object) -> dict[str, object]:
    if not isinstance(entry, int) or isinstance(entry, bool):
        raise NotAllowed(entry, "an integer from 200 to 999")
    return {"status": entry}


def _read_content_type(entry: object) -> dict[str, object]:
    return {"content_type": _text(entry)}


def _read_headers(entry: object) -> dict[str, object]:
    if not isinstance(entry, Mapping):
        raise NotAllowed(entry, "a table of names and values")
    return {"headers": tuple((name, _text(value)) for name, value in entry.items())}


def _read_methods(entry: object) -> dict[str, object]:
    if not isinstance(entry, list):
        raise NotAllowed(entry, 'an array of methods, such as ["GET"]')
    return {"methods": tuple(_text(method) for method in entry)}


def _read_exclusive(entry: object) -> dict[str, object]:
    return {"exclusive": _truth(entry)}


def _read_ready(entry: object) -> dict[str, object]:
    return {"ready": _truth(entry)}


def _truth(entry: object) -> bool:
    if not isinstance(entry, bool):
        raise NotAllowed(entry, "true or false")
    return entry


_READERS: Final = {
    "body": _read_body,
    "file": _read_file,
    "status": _read_status,
    "content-type": _read_content_type,
    "headers": _read_headers,
    "methods": _read_methods,
    "exclusive": _read_exclusive,
    "ready": _read_ready,
}


def _text(entry: object) -> str:
    if not isinstance(entry, str):
        raise NotAllowed(entry, "text")
    return entry
