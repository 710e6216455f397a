"""What makes stored responses go before their time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.cache import invalidate
from katana_asgi.cache.invalidation import Invalidation, apply, set_relay
from tests.cache.conftest import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def relayed() -> Iterator[list[Invalidation]]:
    """What would go to other workers."""
    passed_on: list[Invalidation] = []
    set_relay(passed_on.append)
    yield passed_on
    set_relay(None)


@pytest.mark.parametrize(
    ("method", "status", "gone"),
    [
        ("POST", 200, True),
        ("PUT", 201, True),
        ("PATCH", 204, True),
        ("DELETE", 303, True),
        ("M-SEARCH", 200, True),
        ("POST", 400, False),
        ("POST", 500, False),
        ("OPTIONS", 200, False),
        ("TRACE", 200, False),
    ],
)
async def test_an_unsafe_method_that_succeeds_invalidates_everywhere(
    site: Site, relayed: list[Invalidation], method: str, status: int, gone: bool
) -> None:
    site.origin.respond("max-age=60")
    await site.get("/a?b=c")
    site.origin.responses = [{"status": status, "headers": [], "body": b""}]
    await site.get("/a?b=c", method)
    site.origin.responses = []
    site.origin.respond("max-age=60")
    assert (await site.get("/a?b=c")).body == (b"call 3" if gone else b"call 1")
    key = Invalidation("key", b"http://example.org/a?b=c")
    assert relayed == ([key] if gone else [])


@pytest.mark.parametrize("field", ["Location", "Content_Location"])
@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("/other", True),
        ("other", True),
        ("http://example.org/other", True),
        ("http://EXAMPLE.org:80/other#part", True),
        ("//example.org/other", True),
        ("http://example.com/other", False),
        ("https://example.org/other", False),
        ("http://example.org.evil/other", False),
        ("http://[bad/other", False),
        ("/elsewhere", False),
    ],
)
async def test_what_its_response_names_on_the_same_host_goes_too(
    site: Site, field: str, value: str, gone: bool
) -> None:
    site.origin.respond("max-age=60")
    await site.get("/other")
    site.origin.responses = []
    site.origin.respond(status=201, **{field: value})
    await site.get("/a", "POST")
    site.origin.responses = []
    site.origin.respond("max-age=60")
    assert ((await site.get("/other")).body == b"call 1") is not gone


async def filled(site: Site) -> None:
    site.origin.respond("max-age=600", Cache_Tag="news, front", Vary="foo")
    for path in ("/news", "/news/1", "/news/1?a=b", "/about", "/caf%C3%A9"):
        await site.get(path)
        await site.get(path, foo="1")
    site.origin.responses = []
    site.origin.respond("max-age=600", Surrogate_Key="shop front")
    await site.get("/shop", host="shop.example")


async def kept(site: Site) -> set[str]:
    """The paths that are still stored."""
    found = set()
    for path in ("/news", "/news/1", "/news/1?a=b", "/about", "/caf%C3%A9", "/shop"):
        host = "shop.example" if path == "/shop" else "example.org"
        both = [
            site.cache.store.find(request)
            for request in map(requests, [site.scope(path, host=host)])
        ]
        if all(both):
            found.add(path)
    return found


def requests(scope: Any) -> Any:
    from katana_asgi.cache.request import CacheRequest

    return CacheRequest.of(scope)


ALL = {"/news", "/news/1", "/news/1?a=b", "/about", "/caf%C3%A9", "/shop"}


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        ({"url": "/news"}, {"/news"}),
        ({"url": "http://example.org/news"}, {"/news"}),
        ({"url": "http://user@EXAMPLE.org:80/news"}, {"/news"}),
        ({"url": "https://example.org/news"}, set()),
        ({"url": "http://other.example/news"}, set()),
        ({"url": "/news/1?a=b"}, {"/news/1?a=b"}),
        ({"url": "/news?x"}, set()),
        ({"url": "/café"}, {"/caf%C3%A9"}),
        ({"url": "/caf%C3%A9"}, {"/caf%C3%A9"}),
        ({"prefix": "/news"}, {"/news", "/news/1", "/news/1?a=b"}),
        ({"prefix": "/news/"}, {"/news/1", "/news/1?a=b"}),
        ({"prefix": "/"}, ALL),
        ({"prefix": "http://shop.example/"}, {"/shop"}),
        ({"tag": "news"}, ALL - {"/shop"}),
        ({"tag": "shop"}, {"/shop"}),
        ({"tag": "front"}, ALL),
        ({"tag": "new"}, set()),
        ({}, ALL),
    ],
)
async def test_invalidation_from_code(site: Site, arguments: Any, gone: set[str]) -> None:
    await filled(site)
    assert await kept(site) == ALL
    invalidate(**arguments)
    assert await kept(site) == ALL - gone


async def test_tags_do_not_reach_clients(site: Site) -> None:
    site.origin.respond("max-age=600", Cache_Tag="a", Surrogate_Key="b")
    for _ in range(2):
        answer = await site.get()
        assert (answer["cache-tag"], answer["surrogate-key"]) == (None, None)


@pytest.mark.parametrize(
    "arguments",
    [{"url": "news"}, {"url": "ftp://x/y"}, {"url": "//x/y"}, {"url": "/a", "tag": "b"}],
)
def test_what_is_no_address_is_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"no path|one of"):
        invalidate(**arguments)


async def test_what_is_relayed_is_applied_and_not_relayed_again(
    site: Site, relayed: list[Invalidation]
) -> None:
    await filled(site)
    invalidate(prefix="/news")
    assert relayed == [Invalidation("prefix", b"/news")]
    await filled(site)
    apply(relayed[0])
    assert len(relayed) == 1
    assert await kept(site) == {"/about", "/caf%C3%A9", "/shop"}


@pytest.mark.parametrize(
    "arguments", [{"url": "/a"}, {"prefix": "/"}, {"tag": "anything"}, {}, {"url": "/b"}]
)
async def test_what_was_under_way_when_it_was_invalidated_is_not_stored(
    site: Site, arguments: Any
) -> None:
    site.origin.respond("max-age=60")
    site.origin.gate = asyncio.Event()
    request = site.asking("/a")
    while not site.calls:
        await asyncio.sleep(0)
    invalidate(**arguments)
    site.origin.gate.set()
    await request
    assert len(site.cache.store) == (1 if arguments == {"url": "/b"} else 0)
    await site.get("/a")
    assert len(site.cache.store) == 1


async def test_a_refresh_that_is_overtaken_by_an_invalidation_is_not_stored(site: Site) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=60", ETag='"1"')
    site.origin.respond("max-age=60", status=304)
    await site.get("/a")
    site.clocks.advance(61)
    site.origin.on_call = lambda: invalidate("/a")
    await site.get("/a")
    await site.in_background()
    assert (site.calls, len(site.cache.store)) == (2, 0)
