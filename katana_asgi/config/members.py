"""The kinds of settings with several members: lists, fields, routes.

The value is a tuple of members. From Python any list or tuple will do; a flag gives one
member at a time, except that a list is comma-separated.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from katana_asgi.config.kinds import ValueKind
from katana_asgi.config.refusal import NotAllowed, at
from katana_asgi.config.static_route import StaticRoute, route_from_table

if TYPE_CHECKING:
    from katana_asgi.config.setting import Setting

__all__ = [
    "BindsKind",
    "CertificateKind",
    "FieldKind",
    "FileRouteKind",
    "ListKind",
    "RouteKind",
    "TableKind",
    "split_route",
]


class MembersKind(ValueKind):
    """What the kinds below have in common."""

    empty_is_value = True

    def checked(self, setting: Setting, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise NotAllowed(value, f"a list of {self.allowed(setting)}")
        return tuple([self._member(setting, member) for member in value])

    @abstractmethod
    def _member(self, setting: Setting, member: Any) -> Any:
        """One member, checked."""


class ListKind(MembersKind):
    """Words."""

    word = "list"

    def allowed(self, setting: Setting) -> str:
        return "words, separated by commas"

    def from_python(self, setting: Setting, value: Any) -> Any:
        """As it is; directories may be ``os.PathLike``, and one of them may stand alone."""
        one = isinstance(value, os.PathLike)
        members = [value] if one else value if isinstance(value, list | tuple | set) else None
        if members is None:
            return value
        return [os.fspath(each) if isinstance(each, os.PathLike) else each for each in members]

    def checked(self, setting: Setting, value: Any) -> tuple[Any, ...]:
        return super().checked(setting, _split(value) if isinstance(value, str) else value)

    def _member(self, setting: Setting, member: Any) -> str:
        if not isinstance(member, str):
            raise NotAllowed(member, self.allowed(setting))
        return member.strip()

    def to_text(self, setting: Setting, value: Any) -> str:
        return ",".join(value)


class BindsKind(ListKind):
    """Places to listen, each a word of its own."""

    word = "places"

    def allowed(self, setting: Setting) -> str:
        return "places to listen, such as 127.0.0.1:8000 or unix:/run/app.sock"

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(value)


class TableKind(MembersKind):
    """Members with a name, so that a file may write them as a table."""

    def from_toml(self, setting: Setting, value: object) -> Any:
        if isinstance(value, Mapping):
            return self._from_table(value)
        if not isinstance(value, list):
            raise NotAllowed(value, f"an array or a table of {self.allowed(setting)}")
        for text in value:
            if not isinstance(text, str):
                raise NotAllowed(text, self.allowed(setting))
        return [self.from_text(setting, text) for text in value]

    def _from_table(self, table: Mapping[str, object]) -> list[Any]:
        return list(table.items())


class FieldKind(TableKind):
    """Pairs of a field name and a field value."""

    word = "fields"

    def allowed(self, setting: Setting) -> str:
        return "NAME:VALUE"

    def from_text(self, setting: Setting, text: str) -> Any:
        name, colon, value = text.partition(":")
        if not colon:
            raise NotAllowed(text, self.allowed(setting))
        return name.strip(), value

    def _member(self, setting: Setting, member: Any) -> tuple[str, str]:
        name, value = _pair(member, "pairs of a name and a value, both text")
        if not isinstance(value, str):
            raise NotAllowed(value, "text")
        return name, value.strip(" \t")

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(f"{name}: {text}" for name, text in value)


class RouteKind(TableKind):
    """``StaticRoute`` objects."""

    word = "routes"

    def allowed(self, setting: Setting) -> str:
        return "PATH=BODY, such as /healthz=ok"

    def from_text(self, setting: Setting, text: str) -> Any:
        return StaticRoute(*split_route(text, self.allowed(setting)))

    def _from_table(self, table: Mapping[str, object]) -> list[Any]:
        routes = []
        for path, entry in table.items():
            with at(path):
                routes.append(route_from_table(path, entry))
        return routes

    def _member(self, setting: Setting, member: Any) -> StaticRoute:
        if not isinstance(member, StaticRoute):
            raise NotAllowed(member, "StaticRoute(path, body)")
        return member

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(f"{route.path}={route.body}" for route in value)


class FileRouteKind(TableKind):
    """Pairs of a path and the name of a file."""

    word = "routes"

    def allowed(self, setting: Setting) -> str:
        return "PATH=FILE, such as /robots.txt=public/robots.txt"

    def from_text(self, setting: Setting, text: str) -> Any:
        return split_route(text, self.allowed(setting))

    def _member(self, setting: Setting, member: Any) -> tuple[str, str]:
        path, file = _pair(member, "pairs of a path and a file")
        file = os.fspath(file) if isinstance(file, os.PathLike) else file
        if not isinstance(file, str) or not file or "\0" in file:
            raise NotAllowed(file, "the name of a file")
        return path, file

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(f"{path}={file}" for path, file in value)


class CertificateKind(TableKind):
    """A host name, the file of its certificate and that of its key."""

    word = "certificates"

    def allowed(self, setting: Setting) -> str:
        return "HOST=CERT:KEY, such as example.org=cert.pem:key.pem"

    def from_text(self, setting: Setting, text: str) -> Any:
        host, equals, files = text.partition("=")
        if not equals:
            raise NotAllowed(text, self.allowed(setting))
        return host.strip(), *_certificate_files(files)

    def _from_table(self, table: Mapping[str, object]) -> list[Any]:
        return [
            (host, *(_certificate_files(files) if isinstance(files, str) else _as_list(files)))
            for host, files in table.items()
        ]

    def _member(self, setting: Setting, member: Any) -> tuple[str, str, str]:
        if not isinstance(member, list | tuple) or len(member) not in (2, 3):
            raise NotAllowed(member, "a host name, a certificate and a key")
        parts = [os.fspath(each) if isinstance(each, os.PathLike) else each for each in member]
        if not all(isinstance(each, str) and each and "\0" not in each for each in parts):
            raise NotAllowed(member, self.allowed(setting))
        # Without a key, it is in the same file.
        return parts[0].lower(), parts[1], parts[-1]

    def to_text(self, setting: Setting, value: Any) -> str:
        return "\n".join(f"{host}={certificate}:{key}" for host, certificate, key in value)


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _certificate_files(text: str) -> tuple[str, str]:
    certificate, colon, key = text.strip().partition(":")
    return certificate, key if colon else certificate


def _split(text: str) -> list[str]:
    return [word for part in text.split(",") if (word := part.strip())]


def split_route(text: str, allowed: str) -> tuple[str, str]:
    """A path and what stands behind its equals sign. Raises ``NotAllowed``."""
    path, equals, rest = text.partition("=")
    if not equals or not path.startswith("/"):
        raise NotAllowed(text, allowed)
    return path, rest


def _pair(member: Any, allowed: str) -> tuple[str, Any]:
    if isinstance(member, list | tuple) and len(member) == 2 and isinstance(member[0], str):
        return member[0], member[1]
    raise NotAllowed(member, allowed)
