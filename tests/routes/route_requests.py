"""Requests for static routes as bytes, and responses taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from katana_asgi.config.model import StaticRoute
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import head_parser
from katana_asgi.routes.table import RouteTable

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
    from katana_asgi.routes.static import CachedResponse

_parse_head = head_parser("h11", HeadLimits(8192, 65536, 100), memo=False)


class Parts(NamedTuple):
    """A response taken apart."""

    status_line: bytes
    fields: list[tuple[bytes, bytes]]
    content: bytes

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field."""
        return [value for key, value in self.fields if key == name]


def request(line: bytes, *fields: bytes) -> RequestHead:
    """The head of a request, such as ``request(b"GET / HTTP/1.1", b"Accept: */*")``."""
    return _parse_head(b"\r\n".join([line, b"Host: a.example", *fields, b"", b""]))


def get(path: bytes, *fields: bytes) -> RequestHead:
    """The head of a plain GET."""
    return request(b"GET %b HTTP/1.1" % path, *fields)


def table(path: str, **settings: object) -> RouteTable:
    """A table with one route."""
    return RouteTable([StaticRoute(path=path, **settings)])  # type: ignore[arg-type]


def answered(routes: RouteTable, head: RequestHead) -> CachedResponse:
    """The response of a table that must have one."""
    response = routes.match(head)
    assert response is not None
    return response


def parts(response: CachedResponse) -> Parts:
    """Take apart what goes on the wire."""
    head, separator, content = response.data.partition(b"\r\n\r\n")
    assert separator
    status_line, *lines = head.split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b": ")
        assert colon
        assert name == name.lower()
        fields.append((name, value))
    return Parts(status_line, fields, content)
