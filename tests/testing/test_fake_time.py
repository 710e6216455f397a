"""Time that passes when the test says so, and a server that lives on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from katana_asgi.testing import FakeTimeLoop, MemoryServer

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def loop() -> Iterator[FakeTimeLoop]:
    loop = FakeTimeLoop()
    yield loop
    loop.close()


async def app(scope, receive, send):
    """Answers after as many seconds as the query says."""
    await asyncio.sleep(float(scope["query_string"] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_timers_are_called_in_order_each_at_its_time(loop):
    called = []
    begin = loop.time()

    def note(name: str) -> None:
        called.append((name, loop.time() - begin))

    loop.call_later(30, note, "second")
    loop.call_later(10, note, "first")
    loop.call_later(20, note, "never").cancel()
    loop.call_later(31, note, "later")
    loop.run_until_complete(loop.advance(30))
    assert called == [("first", 10), ("second", 30)]
    assert loop.time() == begin + 30


def test_what_a_timer_starts_is_called_on_the_way(loop):
    woken = []

    async def sleeps() -> None:
        for _ in range(3):
            await asyncio.sleep(60)
            woken.append(loop.time())

    async def main() -> None:
        sleeping = asyncio.ensure_future(sleeps())
        await loop.advance(200)
        await sleeping

    begin = loop.time()
    loop.run_until_complete(main())
    assert woken == [begin + 60, begin + 120, begin + 180]


def test_while_the_loop_is_blocked_nothing_is_called(loop):
    called = []
    loop.call_later(1, lambda: called.append(loop.time()))
    begin = loop.time()
    loop.block(5)
    assert called == []
    loop.run_until_complete(loop.advance(0))
    assert called == [begin + 5]


def test_a_deadline_of_a_server_passes_with_it(loop):
    async def main() -> None:
        async with MemoryServer(app, lifespan="off", timeout_keep_alive=60) as server:
            transport = server.connect()
            transport.feed(REQUEST)
            assert (await transport.settled()).endswith(b"ok")
            await loop.advance(59)
            assert not transport.closing
            await loop.advance(3)
            assert transport.closing

    loop.run_until_complete(main())


def test_an_application_that_sleeps_is_woken_and_its_response_has_the_date(loop):
    async def main() -> None:
        async with MemoryServer(app, lifespan="off") as server:
            transport = server.connect()
            transport.feed(b"GET /?120 HTTP/1.1\r\nHost: a\r\n\r\n")
            await loop.advance(119)
            assert not transport.sent
            await loop.advance(2)
            assert b"\r\ndate: Sun, 09 Sep 2001 01:48:40 GMT\r\n" in transport.sent

    loop.run_until_complete(main())


def test_a_runner_takes_it_as_a_loop():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FakeTimeLoop)
        asyncio.ensure_future(loop.advance(3600))  # noqa: RUF006 - it outlives the sleep
        begin = loop.time()
        await asyncio.sleep(1800)
        return loop.time() - begin

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        assert runner.run(main()) == 1800
