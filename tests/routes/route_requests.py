"""Requests for static routes as bytes, and what a table makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from katana_asgi.codec import EXPECT_CONTINUE, UPGRADE, scan_head
from katana_asgi.config.model import StaticRoute
from katana_asgi.routes.table import RouteTable

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
    from katana_asgi.routes.static import StaticResponse


class Request(NamedTuple):
    """A request, and whether it asks for a response and nothing else."""

    head: RequestHead
    simple: bool


def request(line: bytes, *fields: bytes) -> Request:
    """A request such as ``request(b"GET / HTTP/1.1", b"Accept: */*")``."""
    raw = b"\r\n".join([line, b"Host: a.example", *fields, b"", b""])
    head, framing = scan_head(raw, 8192, 65536, 100)
    return Request(head, not head.has_content and not framing & (EXPECT_CONTINUE | UPGRADE))


def get(path: bytes, *fields: bytes) -> Request:
    """A plain GET."""
    return request(b"GET %b HTTP/1.1" % path, *fields)


def table(path: str, **settings: object) -> RouteTable:
    """A table with one route."""
    return RouteTable([StaticRoute(path=path, **settings)])  # type: ignore[arg-type]


def match(routes: RouteTable, asked: Request) -> StaticResponse | None:
    """The response of a table, ``None`` where the application has to answer."""
    return routes.match(asked.head, simple=asked.simple)


def answered(routes: RouteTable, asked: Request) -> StaticResponse:
    """The response of a table that must have one."""
    response = match(routes, asked)
    assert response is not None
    return response


def values(response: StaticResponse, name: bytes) -> list[bytes]:
    """All values of a field."""
    assert all(key == key.lower() for key, _ in response.pairs)
    return [value for key, value in response.pairs if key == name]


def whole(response: StaticResponse) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, fields and content."""
    return response.status, list(response.pairs), response.content
