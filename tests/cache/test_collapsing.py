"""One call for many requests that miss at the same time, and no queue where that cannot be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.errors import ClientDisconnected
from tests.cache.conftest import Site
from tests.support import within

if TYPE_CHECKING:
    from tests.cache.conftest import Answer

MANY = 100


async def under_way(site: Site, calls: int) -> None:
    """Until the application was called that often and everything else waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert site.calls == calls


async def all_of(requests: list[asyncio.Task[Answer]]) -> list[Answer]:
    return await within(asyncio.gather(*requests))


@pytest.fixture
def gated(site: Site) -> Site:
    """A site whose application waits until its gate is open."""
    site.origin.gate = asyncio.Event()
    return site


async def test_a_hundred_misses_are_one_call(gated: Site) -> None:
    gated.origin.respond("max-age=60", pieces=[b"a", b"b"])
    requests = [gated.asking() for _ in range(MANY)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    assert {answer.body for answer in await all_of(requests)} == {b"ab"}
    assert (gated.calls, gated.cache.counts.collapsed) == (1, MANY - 1)


async def test_a_hundred_private_responses_are_a_hundred_calls_at_once(gated: Site) -> None:
    gated.origin.respond("private")
    requests = [gated.asking() for _ in range(MANY)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    await all_of(requests)
    assert gated.calls == MANY
    gated.origin.gate.clear()
    requests = [gated.asking() for _ in range(MANY)]
    await under_way(gated, 2 * MANY)  # the second burst does not wait at all
    gated.origin.gate.set()
    await all_of(requests)


async def test_the_others_are_released_by_the_head_of_what_cannot_be_stored(site: Site) -> None:
    release = asyncio.Event()
    heads = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal heads
        heads += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await release.wait()
        await send({"type": "http.response.body", "body": b"x"})

    site = Site(application)
    requests = [site.asking() for _ in range(10)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert heads == 10
    release.set()
    await all_of(requests)


async def test_requests_for_other_variants_make_calls_of_their_own(gated: Site) -> None:
    gated.origin.respond("max-age=60", Vary="foo")
    requests = [gated.asking(foo=str(number % 2)) for number in range(10)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    await all_of(requests)
    assert gated.calls == 2  # one for each variant
    assert [answer.age for answer in [await gated.get(foo="0"), await gated.get(foo="1")]] == [0, 0]


async def test_ever_new_variants_do_not_stand_in_a_queue(gated: Site) -> None:
    gated.origin.respond("max-age=60", Vary="foo")
    requests = [gated.asking(foo=str(number)) for number in range(20)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    await all_of(requests)
    assert gated.calls == 20


@pytest.mark.parametrize("fields", [{"cookie": "a"}, {"authorization": "b"}])
async def test_requests_that_say_who_asks_do_not_wait(gated: Site, fields: Any) -> None:
    gated.origin.respond("public, max-age=60")
    requests = [gated.asking(**fields) for _ in range(5)]
    await under_way(gated, 5)
    gated.origin.gate.set()
    await all_of(requests)


async def test_they_do_where_a_response_for_all_is_known(gated: Site) -> None:
    gated.origin.respond("public, max-age=60")
    gated.origin.gate.set()
    await gated.get()
    gated.clocks.advance(61)
    gated.origin.gate.clear()
    requests = [gated.asking(cookie=str(number)) for number in range(5)]
    await under_way(gated, 2)
    gated.origin.gate.set()
    assert {answer.body for answer in await all_of(requests)} == {b"call 2"}


@pytest.mark.parametrize("fields", [{"if_none_match": '"1"'}, {"range": "bytes=0-1"}])
async def test_a_conditional_request_does_not_lead(gated: Site, fields: Any) -> None:
    gated.origin.respond("max-age=60")
    first = gated.asking(**fields)
    await under_way(gated, 1)
    second = gated.asking()
    await under_way(gated, 2)
    gated.origin.gate.set()
    await all_of([first, second])


async def test_a_slow_leader_is_waited_for_only_so_long() -> None:
    site = Site(lock_timeout=0.05)
    site.origin.respond("max-age=60")
    site.origin.gate = asyncio.Event()
    leader = site.asking()
    await under_way(site, 1)
    waiting = [site.asking() for _ in range(5)]
    await under_way(site, 1)
    site.clocks.advance(1)
    late = site.asking()
    while site.calls < 6:
        await asyncio.sleep(0.01)
    site.origin.gate.set()
    answers = await all_of([leader, *waiting, late])
    assert len(answers) == 7
    assert {answer.status for answer in answers} == {200}


async def test_a_leader_that_is_cancelled_is_followed_by_one_of_the_others(gated: Site) -> None:
    gated.origin.respond("max-age=60")
    requests = [gated.asking() for _ in range(10)]
    await under_way(gated, 1)
    requests[0].cancel()
    await under_way(gated, 2)
    gated.origin.gate.set()
    assert {answer.body for answer in await all_of(requests[1:])} == {b"call 2"}


async def test_a_leader_that_raises_lets_all_others_go_at_once(gated: Site) -> None:
    gated.origin.respond(error=ZeroDivisionError())
    requests = [gated.asking() for _ in range(10)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    results = await within(asyncio.gather(*requests, return_exceptions=True))
    assert {type(result) for result in results} == {ZeroDivisionError}
    assert gated.calls == 10
    gated.origin.responses = []
    gated.origin.respond("max-age=60")
    gated.clocks.advance(1)  # a failure is remembered for a second, not for minutes
    gated.origin.gate.clear()
    requests = [gated.asking() for _ in range(10)]
    await under_way(gated, 11)
    gated.origin.gate.set()
    await all_of(requests)


async def test_a_leader_whose_client_left_completes_for_the_others(gated: Site) -> None:
    gated.origin.respond("max-age=60", pieces=[b"a", b"b", b"c"])

    async def left(message: Any) -> None:
        raise ClientDisconnected

    leader = asyncio.create_task(
        gated.application(gated.scope(), None, left)  # type: ignore[arg-type]
    )
    await under_way(gated, 1)
    others = [gated.asking() for _ in range(5)]
    await under_way(gated, 1)
    gated.origin.gate.set()
    assert {answer.body for answer in await all_of(others)} == {b"abc"}
    await within(leader)
    assert gated.calls == 1


async def test_a_client_that_left_ends_a_call_that_is_not_to_be_stored(site: Site) -> None:
    site.origin.respond("no-store", pieces=[b"a", b"b"])

    async def left(message: Any) -> None:
        raise ClientDisconnected

    with pytest.raises(ClientDisconnected):
        await site.application(site.scope(), None, left)  # type: ignore[arg-type]


async def test_others_do_not_wait_for_a_leaders_slow_client(gated: Site) -> None:
    gated.origin.respond("max-age=60")
    gated.origin.gate.set()
    stuck = asyncio.Event()

    async def slow(message: Any) -> None:
        if message["type"] == "http.response.body":
            await stuck.wait()

    leader = asyncio.create_task(
        gated.application(gated.scope(), None, slow)  # type: ignore[arg-type]
    )
    await under_way(gated, 1)
    assert (await gated.get()).body == b"call 1"
    stuck.set()
    await within(leader)


async def test_large_content_is_not_waited_for_to_its_end() -> None:
    """What becomes too large to be stored lets the others go when that is seen."""
    site = Site(most_of_one=10)
    more = asyncio.Event()
    calls = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        headers = [(b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 11, "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"y"})

    site = Site(application, most_of_one=10)
    requests = [site.asking() for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert calls == 5
    more.set()
    await all_of(requests)


async def test_nothing_is_left_of_flights_that_have_ended(gated: Site) -> None:
    gated.origin.gate.set()
    gated.origin.respond("max-age=60")
    gated.origin.respond("no-store")
    for number in range(20):
        await gated.get(f"/{number}")
    assert gated.cache.flights.leading == {}
    assert gated.cache.flights.running == {}


async def test_the_end_of_a_worker_ends_calls_in_the_background(site: Site) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=60")
    await site.get()
    site.clocks.advance(61)
    site.origin.gate = asyncio.Event()
    await site.get()
    await under_way(site, 2)
    (task,) = site.application.refreshing.values()
    await site.application({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    await within(asyncio.wait([task]))
    assert task.cancelled()
    assert site.application.refreshing == {}
