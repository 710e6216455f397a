"""A directory of files as code, flags and files describe it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.checks import check_field
from katana_asgi.config.members import TableKind, split_route
from katana_asgi.config.refusal import NotAllowed, at, suggestion
from katana_asgi.config.units import parse_duration
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from katana_asgi.config.setting import Setting

__all__ = [
    "APPLICATION",
    "NOT_FOUND",
    "StaticDirKind",
    "StaticFiles",
    "check_static_files",
    "table_of",
]

APPLICATION: Final = "application"
NOT_FOUND: Final = "404"

_SYMLINKS: Final = ("never", "inside", "anywhere")


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """The files of a directory, served below a path without the application.

    ``path`` is a prefix of whole segments: ``/assets`` is ``/assets/`` and all below.
    ``fallback`` answers what has no file: ``"application"``, ``"404"``, or the path of a file
    below ``directory``, such as ``"/index.html"`` for an application of one page, which is sent
    where a browser navigates. ``not_found`` is a file sent with a 404. ``cache_control`` are
    pairs of a pattern (``*.html``) and a value, the first that matches counts; ``max_age`` is
    for what no pattern matches; ``immutable`` marks names that hold a hash. ``symlinks`` are
    followed ``"inside"`` the directory, ``"anywhere"`` or ``"never"``. ``media_types`` are pairs
    of a suffix and a content type.
    """

    path: str
    directory: str
    _: KW_ONLY
    index: tuple[str, ...] = ("index.html",)
    fallback: str = APPLICATION
    not_found: str = ""
    listing: bool = False
    symlinks: str = "inside"
    dotfiles: bool = False
    precompressed: bool = True
    max_age: float | None = None
    immutable: bool = False
    cache_control: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    media_types: tuple[tuple[str, str], ...] = ()
    nosniff: bool = True


class StaticDirKind(TableKind):
    """``StaticFiles`` objects."""

    word = "directories"

    def allowed(self, setting: Setting) -> str:
        return "PATH=DIRECTORY, such as /assets=dist"

    def from_text(self, setting: Setting, text: str) -> Any:
        return StaticFiles(*split_route(text, self.allowed(setting)))

    def _from_table(self, table: Mapping[str, object]) -> list[Any]:
        mounts = []
        for path, entry in table.items():
            with at(path):
                mounts.append(_mount_from_table(path, entry))
        return mounts

    def _member(self, setting: Setting, member: Any) -> StaticFiles:
        if not isinstance(member, StaticFiles):
            raise NotAllowed(member, "StaticFiles(path, directory)")
        return member

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(f"{mount.path}={mount.directory}" for mount in value)


def check_static_files(mount: StaticFiles) -> None:
    """A prefix, an existing directory, and values that mean something."""
    path = mount.path
    if not path.startswith("/") or any(character in path for character in "?#%\\\0"):
        raise NotAllowed(path, "a path that starts with a slash, as it reads decoded")
    if any(segment in (".", "..", "") for segment in path.strip("/").split("/")) and path != "/":
        raise NotAllowed(path, "a path without empty segments, . and ..")
    if not os.path.isdir(mount.directory):
        raise NotAllowed(mount.directory, "an existing directory", "is not a directory")
    if mount.symlinks not in _SYMLINKS:
        raise NotAllowed(mount.symlinks, "never, inside or anywhere")
    if mount.fallback not in (APPLICATION, NOT_FOUND) and not mount.fallback.startswith("/"):
        raise NotAllowed(mount.fallback, "application, 404, or a file such as /index.html")
    if mount.not_found and not mount.not_found.startswith("/"):
        raise NotAllowed(mount.not_found, "a file below the directory, such as /404.html")
    for name in mount.index:
        if not name or "/" in name:
            raise NotAllowed(name, "the name of a file, such as index.html")
    if mount.max_age is not None and mount.max_age < 0:
        raise NotAllowed(mount.max_age, "seconds, 0 or more")
    for field in mount.headers:
        check_field(field)
    for _, value in mount.cache_control:
        check_field(("cache-control", value))
    for _, content_type in mount.media_types:
        check_field(("content-type", content_type))


def table_of(mount: StaticFiles) -> dict[str, object]:
    """The entry of a file that describes the mount: what differs from the defaults."""
    plain = StaticFiles(mount.path, mount.directory)
    table: dict[str, object] = {"directory": mount.directory}
    for key in _READERS:
        name = key.replace("-", "_")
        value = getattr(mount, name)
        if value != getattr(plain, name):
            table[key] = dict(value) if name in _PAIRS else value
    return table


_PAIRS: Final = ("cache_control", "headers", "media_types")


def _mount_from_table(path: str, value: object) -> StaticFiles:
    if isinstance(value, str):
        return StaticFiles(path, value)
    if not isinstance(value, Mapping):
        raise NotAllowed(value, "text, the directory, or a table with a directory")
    entries = {str(key).replace("_", "-"): entry for key, entry in value.items()}
    for key in entries.keys() - _READERS.keys():
        hint = suggestion(key, _READERS, f"use {', '.join(_READERS)}")
        raise ConfigurationError(f"unknown key {key!r}; {hint}")
    if "directory" not in entries:
        raise NotAllowed(dict(value), "a table with the key directory")
    arguments: dict[str, Any] = {}
    for key, entry in entries.items():
        with at(key):
            arguments[key.replace("-", "_")] = _READERS[key](entry)
    return StaticFiles(path, **arguments)


def _text(entry: object) -> str:
    if not isinstance(entry, str):
        raise NotAllowed(entry, "text")
    return entry


def _truth(entry: object) -> bool:
    if not isinstance(entry, bool):
        raise NotAllowed(entry, "true or false")
    return entry


def _names(entry: object) -> tuple[str, ...]:
    if not isinstance(entry, list):
        raise NotAllowed(entry, 'an array of names, such as ["index.html"]')
    return tuple([_text(name) for name in entry])


def _pairs(entry: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(entry, Mapping):
        raise NotAllowed(entry, "a table of names and values")
    return tuple([(str(name), _text(value)) for name, value in entry.items()])


def _duration(entry: object) -> float:
    if isinstance(entry, int | float) and not isinstance(entry, bool):
        return float(entry)
    try:
        return parse_duration(_text(entry))
    except ValueError:
        raise NotAllowed(entry, "seconds or a duration such as 30s, 5m or 1h") from None


_READERS: Final = {
    "directory": _text,
    "index": _names,
    "fallback": _text,
    "not-found": _text,
    "listing": _truth,
    "symlinks": _text,
    "dotfiles": _truth,
    "precompressed": _truth,
    "max-age": _duration,
    "immutable": _truth,
    "cache-control": _pairs,
    "headers": _pairs,
    "media-types": _pairs,
    "nosniff": _truth,
}
"""How each key of a table is read; the keys are the arguments of ``StaticFiles``."""
