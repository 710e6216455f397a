"""The ASGI 3.0 interface as types (ASGI specification 3.0, HTTP and WebSocket 2.5).

Messages are plain dictionaries at run time. The aliases say what an application is;
the TypedDicts say what the server puts into a scope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal, TypeAlias, TypedDict

__all__ = [
    "ASGIApplication",
    "ASGIVersions",
    "HTTPScope",
    "LifespanScope",
    "Message",
    "Receive",
    "Scope",
    "Send",
]

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class ASGIVersions(TypedDict):
    """``scope["asgi"]``"""

    version: Literal["3.0"]
    spec_version: str


class HTTPScope(TypedDict):
    """The scope of one request."""

    type: Literal["http"]
    asgi: ASGIVersions
    http_version: Literal["1.0", "1.1", "2", "3"]
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Iterable[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    state: dict[str, Any]
    extensions: dict[str, dict[str, Any]]


class LifespanScope(TypedDict):
    """The scope of the application's life in one worker."""

    type: Literal["lifespan"]
    asgi: ASGIVersions
    state: dict[str, Any]
