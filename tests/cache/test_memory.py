"""The memory that is asked for is never exceeded, whatever is stored and however it is served."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.asgi.answers import cached_response
from katana_asgi.cache.request import CacheRequest
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http1.default_lines import KEEP_ALIVE, PERSISTENT, DefaultLines
from katana_asgi.http1.static_bytes import static_bytes, static_head
from katana_asgi.http1.writing import JOIN_UP_TO
from katana_asgi.http2.responses import DefaultBlocks, static_block
from tests.cache.conftest import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.routes.static import StaticResponse

COUNT = 200
DEFAULTS = DefaultFields()
LINES, BLOCKS = DefaultLines(DEFAULTS), DefaultBlocks(DEFAULTS)


def serve(response: StaticResponse) -> None:
    """Leave behind all that the protocol versions keep."""
    render = static_head if len(response.content) > JOIN_UP_TO else static_bytes
    for end in (PERSISTENT, KEEP_ALIVE):
        render(response, LINES, end)
    static_block(response, BLOCKS)


class Sized:
    """Answers with fresh objects, so that nothing is shared."""

    def __init__(self, size: int, fields: Callable[[int], list[tuple[str, str]]]) -> None:
        self.size = size
        self.fields = fields
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        fields = [("cache-control", "public, max-age=60"), *self.fields(self.calls)]
        headers = [(name.encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(bytearray(self.size))})


SHAPES: dict[str, tuple[int, Any, Any]] = {
    # content bytes, fields of the response, path and field of the request
    "empty": (0, lambda n: [], lambda n: (f"/{n}", "")),
    "small": (100, lambda n: [], lambda n: (f"/{n}", "")),
    "kept twice": (4096, lambda n: [], lambda n: (f"/{n}", "")),
    "kept once": (4097, lambda n: [], lambda n: (f"/{n}", "")),
    "large": (65536, lambda n: [], lambda n: (f"/{n}", "")),
    "many fields": (
        100,
        lambda n: [(f"x-{i}", f"{n}" * 20) for i in range(40)],
        lambda n: (f"/{n}", ""),
    ),
    "a long field": (100, lambda n: [("x-a", f"{n:04000}")], lambda n: (f"/{n}", "")),
    "long paths": (100, lambda n: [], lambda n: (f"/{n:04000}", "")),
    "long variants": (
        100,
        lambda n: [("vary", "x-a")],
        lambda n: (f"/{n // 16}", f"{n:04000}"),
    ),
    "many tags": (
        100,
        lambda n: [("cache-tag", ",".join(f"t{n}-{i}" for i in range(60)))],
        lambda n: (f"/{n}", ""),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_no_response_takes_more_than_it_is_counted_with(name: str) -> None:
    size, fields, request = SHAPES[name]
    site = Site(Sized(size, fields), most=2**30)

    async def fill() -> None:
        for number in range(COUNT):
            path, value = request(number)
            scope = site.scope(path, x_a=value)
            await site.application(scope, None, discard)  # type: ignore[arg-type]
            answer = site.cache.answer(CacheRequest.of(scope))
            assert answer is not None
            serve(cached_response(answer))

    asyncio.run(fill())  # what is made once
    site.cache.store.forget(lambda _: True)
    gc.collect()
    tracemalloc.start()
    asyncio.run(fill())
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(site.cache.store) == COUNT
    assert taken <= site.cache.store.weight


async def discard(message: Any) -> None:
    """A client that keeps nothing."""


@pytest.mark.parametrize("stored", [True, False])
def test_a_million_keys_are_not_remembered_either(stored: bool) -> None:
    """Long ones, of responses that have gone again or were never stored."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"cache-control", b"public, max-age=60")] if stored else []
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    site = Site(application, most=2**18)

    async def ask(numbers: range) -> None:
        for number in numbers:
            scope = site.scope(f"/{number:08000}")
            await site.application(scope, None, discard)  # type: ignore[arg-type]

    asyncio.run(ask(range(100)))
    tracemalloc.start()
    asyncio.run(ask(range(1000, 4000)))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 2**21  # with their keys, they would take 24 MB
