"""Static routes from files: read once, when the table is made."""

from __future__ import annotations

from katana_asgi.config.media_types import media_type_of
from katana_asgi.config.model import StaticRoute
from katana_asgi.config.reading import read_file
from katana_asgi.errors import ConfigurationError

__all__ = ["read_file_route"]


def read_file_route(path: str, name: str) -> StaticRoute:
    """The route that answers ``path`` with the content of the file ``name``.

    Raises ``ConfigurationError`` where the file cannot be read.
    """
    try:
        body = read_file(name)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"static route {path!r}: cannot read {name!r}: {reason}") from None
    return StaticRoute(path=path, body=body, content_type=media_type_of(name))
