"""Look-ups in the table of static routes, small and large, hit and miss."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.micro.clock import Micro
from katana_asgi import StaticRoute
from katana_asgi.http.message import RequestHead
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import head_parser
from katana_asgi.routes.table import RouteTable

__all__ = ["route_table"]


def route_table() -> Iterator[Micro]:
    """Yield the cases."""
    parse = head_parser("httptools", HeadLimits(16384, 65536, 128), memo=False)

    def head(path: str) -> RequestHead:
        return parse(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    for size in (1, 100, 10_000):
        table = RouteTable([StaticRoute(f"/route/{number}", "ok") for number in range(size)])
        for name, path in (("hit", "/route/0"), ("miss", "/other")):
            call = partial(table.match, head(path))
            yield Micro("routes", f"exact, {size:,} routes, {name}", call)
    templates = [StaticRoute("/hello/{name}", "Hello, {name}!")]
    templates += [StaticRoute(f"/number/{number}/{{name}}", "{name}") for number in range(20)]
    table = RouteTable(templates)
    for name, path in (("value repeated", "/hello/a"), ("miss", "/other/a")):
        call = partial(table.match, head(path))
        yield Micro("routes", f"template, 21 of them, {name}", call)
