"""A request that no one has sent before costs what one costs that repeats: there is no cliff.

Counted, not timed: calls of functions, in Python and in C, that a request takes on its whole way.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import MemoryServer, turns
from tests.http1.reads import BACK_ENDS

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS = 50

FLATNESS = 1.4
"""The dearest of them over the cheapest."""

NAMES = [b"Accept", b"Accept-Encoding", b"Accept-Language", b"Cache-Control", b"DNT", b"Priority"]


def minimal(number: int) -> bytes:
    """The same each time."""
    return b"GET /item HTTP/1.1\r\nHost: a\r\n\r\n"


def varied(number: int) -> bytes:
    """Query, cookie and trace are new each time."""
    return (
        b"GET /item?page=%d HTTP/1.1\r\nHost: a\r\nCookie: session=%d\r\n"
        b"traceparent: 00-%032x-%016x-01\r\n\r\n" % (number, number, number, number)
    )


def browser(number: int) -> bytes:
    """Many fields, the same each time."""
    return _with_fields(b"/item", b"")


def proxied(number: int) -> bytes:
    """Many fields, seven of them new each time, forwarding fields among them."""
    new = b"X-Forwarded-For: 192.0.2.%d\r\nX-Forwarded-Proto: https\r\n" % (number % 250)
    new += b"".join([b"X-New-%d: %d\r\n" % (each, number) for each in range(5)])
    return _with_fields(b"/item", new)


def _with_fields(target: bytes, more: bytes) -> bytes:
    lines = b"".join([b"%b: some value that is not short\r\n" % name for name in NAMES])
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b%b\r\n" % (target, lines, more)


TRAFFIC: list[Callable[[int], bytes]] = [minimal, varied, browser, proxied]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers in one piece."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def calls(kind: Callable[[int], bytes], settings: dict[str, Any]) -> float:
    """How many calls of functions a request of this kind takes, once all is warm."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    async with MemoryServer(application, lifespan="off", **settings) as memory:
        transport = memory.connect()
        loop = asyncio.get_running_loop()
        requests = [kind(number) for number in range(2 * REQUESTS)]
        for number, request in enumerate(requests):
            if number == REQUESTS:
                sys.setprofile(note)
            loop.call_soon(transport.feed, request)
            await turns(4)
        sys.setprofile(None)
        assert transport.sent.count(b"HTTP/1.1 200 OK\r\n") == len(requests)
        transport.end()
        await turns(2)
    return count / REQUESTS


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "trusted": {"forwarded_allow_ips": ("192.0.2.1",)},
    "measured": {"statsd": "127.0.0.1:9"},
    "identified": {"request_id": "generate"},
    "served by a route": {"static_route": (StaticRoute(path="/item", body="ok"),)},
}


@pytest.mark.parametrize("http", BACK_ENDS[:1])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_no_traffic_takes_much_more_calls_than_another(http, configuration):
    settings = {"http": http, **CONFIGURATIONS[configuration]}
    taken = {kind.__name__: await calls(kind, settings) for kind in TRAFFIC}
    assert max(taken.values()) <= FLATNESS * min(taken.values()), taken
