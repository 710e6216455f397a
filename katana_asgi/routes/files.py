"""Static routes from files: read once, when the table is made."""

from __future__ import annotations

import mimetypes

from katana_asgi.config.model import StaticRoute
from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

__all__ = ["content_type_of", "read_file_route"]


def content_type_of(name: str) -> str:
    """The content type that a file's name suggests; text is taken to be UTF-8.

    A compressed file is served as what it is, a compressed file.
    """
    media_type, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    if media_type is None:
        return "application/octet-stream"
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def read_file_route(path: str, name: str) -> StaticRoute:
    """The route that answers ``path`` with the content of the file ``name``.

    Raises ``ConfigurationError`` where the file cannot be read.
    """
    try:
        body = read_file(name)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"static route {path!r}: cannot read {name!r}: {reason}") from None
    return StaticRoute(path=path, body=body, content_type=content_type_of(name))
