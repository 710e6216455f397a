"""A static route checked and taken apart: what is known of it before any request comes.

Everything a route can get wrong is found here and is a ``ConfigurationError`` that names the
route, so that nothing can go wrong when a request is answered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ConfigurationError
from katana_asgi.http.conditional import is_entity_tag
from katana_asgi.http.fields import is_token
from katana_asgi.http.status import FIRST_FINAL, LAST, NO_CONTENT
from katana_asgi.routes.escape import charset_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.config.model import StaticRoute
    from katana_asgi.http.message import Field

__all__ = ["FULL", "HEAD", "Definition"]

FULL: Final = 0
HEAD: Final = 1

_SERVERS_OWN: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Framing and persistence are the server's (RFC 9110 §7.6.1, §8.6)."""

_ABOUT_CONTENT: Final = frozenset(
    {b"content-encoding", b"content-language", b"content-range", b"content-type"}
)
"""What a 304 leaves out: it has no content to describe (RFC 9110 §15.4.5)."""

_EMPTY: Final = NO_CONTENT | {205}  # RFC 9110 §15.3.6: 205 has no content either

_is_value: Final = re.compile(rb"[\x20-\x7e\x80-\xff\t]*").fullmatch


class Definition:
    """One ``StaticRoute``, checked. Raises ``ConfigurationError``.

    ``kinds`` says for each method that is answered whether its response has content (FULL)
    or not (HEAD). ``fields`` are those of a response with content but for its length and its
    entity tag, ``fields_304`` those of a 304. ``etag`` is the tag that the route names.
    """

    __slots__ = (
        "allow",
        "body",
        "content_type",
        "etag",
        "exclusive",
        "fields",
        "fields_304",
        "kinds",
        "own_names",
        "path",
        "ready",
        "status",
    )

    def __init__(self, route: StaticRoute) -> None:
        self.path = route.path
        self.status = _check_status(route)
        self.exclusive = route.exclusive
        self.ready = route.ready
        self.kinds = _kinds(route.path, route.methods)
        self.allow = ", ".join(self.kinds).encode("ascii")
        own = [_check_field(route, name, value) for name, value in route.headers]
        fields = own.copy()
        self.own_names = frozenset(name for name, _ in own)
        if b"content-type" in self.own_names:
            self.content_type = dict(own)[b"content-type"].decode("latin-1")
        else:
            self.content_type = route.content_type
            if self.content_type and self.status not in NO_CONTENT:
                fields.insert(0, _check_field(route, "content-type", self.content_type))
        self.etag = _check_etag(route, own)
        self.fields = tuple(fields)
        self.fields_304 = tuple(field for field in own if field[0] not in _ABOUT_CONTENT)
        self.body = _encode_body(route, self.content_type)
        if self.body and self.status in _EMPTY:
            raise _wrong(route.path, f"a response with status {self.status} has no body")


def _wrong(path: object, what: str) -> ConfigurationError:
    return ConfigurationError(f"static route {path!r}: {what}")


def _check_status(route: StaticRoute) -> int:
    status = route.status
    if not isinstance(status, int) or not FIRST_FINAL <= status <= LAST:
        raise _wrong(route.path, f"status {status!r} is not a number from 200 to 999")
    return int(status)


def _kinds(path: str, methods: Iterable[str]) -> dict[str, int]:
    """GET is answered with content, HEAD like GET without it (RFC 9110 §9.3.2)."""
    kinds: dict[str, int] = {}
    if isinstance(methods, str):
        raise _wrong(path, f"methods are a tuple, not the text {methods!r}")
    for name in methods:
        method = name.upper()
        if not method.isascii() or not is_token(method.encode("ascii")) or method == "CONNECT":
            raise _wrong(path, f"{name!r} is not a method that a route can answer")
        kinds[method] = HEAD if method == "HEAD" else FULL
        if method == "GET":
            kinds["HEAD"] = HEAD
    if not kinds:
        raise _wrong(path, "it answers no method")
    return kinds


def _check_field(route: StaticRoute, name: str, value: str) -> Field:
    try:
        field = name.lower().encode("ascii"), value.strip(" \t").encode("latin-1")
    except UnicodeEncodeError:
        raise _wrong(route.path, f"header {name!r} holds characters no field can hold") from None
    if not is_token(field[0]):
        raise _wrong(route.path, f"{name!r} is not a header name")
    if field[0] in _SERVERS_OWN:
        raise _wrong(route.path, f"header {name!r} is set by the server")
    if _is_value(field[1]) is None:
        raise _wrong(route.path, f"header {name!r} holds a control character")
    return field


def _check_etag(route: StaticRoute, fields: list[Field]) -> bytes | None:
    tags = [value for name, value in fields if name == b"etag"]
    if not tags:
        return None
    if len(tags) > 1 or not is_entity_tag(tags[0]):
        raise _wrong(route.path, 'an ETag is one quoted text, such as "v1" or W/"v1"')
    return tags[0]


def _encode_body(route: StaticRoute, content_type: str) -> bytes:
    body = route.body
    if isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        raise _wrong(route.path, f"a body is bytes or text, not {type(body).__name__}")
    if not body.isascii() and charset_of(content_type) not in (None, "utf-8", "utf8"):
        raise _wrong(route.path, f"text is sent as UTF-8; give bytes for {content_type!r}")
    try:
        return body.encode("utf-8")
    except UnicodeEncodeError:
        raise _wrong(route.path, "the body holds text that UTF-8 cannot encode") from None
