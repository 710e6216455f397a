"""Applications that fail at odd places: in what they hand over, in the call, on the way out."""

from __future__ import annotations

import asyncio
import logging

import pytest

from katana_asgi.testing import running
from tests.applications import get, respond, start
from tests.faults.leftovers import everything_gone, leftovers
from tests.support import within


class Unspeakable(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


class Leaving:
    """A value that leaves the process when anybody looks at it."""

    def __bool__(self) -> bool:
        raise SystemExit(7)

    def __iter__(self):
        raise SystemExit(7)


class Refusing(dict):
    """A message that answers no question."""

    def __getitem__(self, key):
        raise KeyboardInterrupt

    def get(self, key, default=None):
        raise KeyboardInterrupt


def endless():
    """Fields of which the second never comes."""
    yield (b"x-first", b"1")
    raise GeneratorExit


async def unspeakable(scope, receive, send):
    raise Unspeakable


async def a_cause_that_is_itself(scope, receive, send):
    error = ValueError("itself")
    error.__cause__ = error
    raise error


async def too_deep(scope, receive, send):
    await too_deep(scope, receive, send)


async def headers_that_fail(scope, receive, send):
    await start(send, headers=())
    await send({"type": "http.response.start", "status": 200, "headers": endless()})


async def headers_that_leave(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": Leaving()})


async def more_body_that_leaves(scope, receive, send):
    await start(send)
    await send({"type": "http.response.body", "body": b"x", "more_body": Leaving()})


async def a_message_that_refuses(scope, receive, send):
    await send(Refusing(type="http.response.start"))


async def an_emptied_scope(scope, receive, send):
    scope.clear()
    raise ValueError


async def on_the_way_out(scope, receive, send):
    try:
        await asyncio.sleep(0)
        raise ValueError
    finally:
        raise SystemExit


async def with_a_task_that_fails_later(scope, receive, send):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("later")

    task = asyncio.ensure_future(fail())
    task.add_done_callback(lambda task: task.exception())
    raise ValueError("now")


def no_coroutine(scope, receive, send):
    return None


def fails_when_called(scope, receive, send):
    raise SystemExit(9)


APPLICATIONS = [
    unspeakable,
    a_cause_that_is_itself,
    too_deep,
    headers_that_fail,
    headers_that_leave,
    more_body_that_leaves,
    a_message_that_refuses,
    an_emptied_scope,
    on_the_way_out,
    with_a_task_that_fails_later,
    no_coroutine,
    fails_when_called,
]


class Application:
    """``/fine`` is answered, everything else is left to ``broken``."""

    def __init__(self, broken) -> None:
        self.broken = broken

    def __call__(self, scope, receive, send):
        if scope["path"] == "/fine":
            return respond(send, b"fine")
        return self.broken(scope, receive, send)


@pytest.mark.parametrize("broken", APPLICATIONS, ids=lambda broken: broken.__name__)
async def test_it_is_500_and_the_next_request_is_served(http, broken, caplog):
    settings = {"lifespan": "off", "interface": "asgi3", "access_log": True}
    async with running(Application(broken), http=http, **settings) as server:
        for _ in range(2):
            async with await server.connect() as client:
                await client.send(get("/broken"))
                assert (await client.response()).status == 500
                assert await client.closed()
            async with await server.connect() as client:
                for _ in range(3):
                    await client.send(get("/fine"))
                    assert (await client.response()).body == b"fine"
        await within(everything_gone(server))
    assert "Exception in ASGI application" in caplog.text


async def test_what_the_application_does_to_its_scope_does_not_reach_the_next(http):
    async def app(scope, receive, send):
        body = scope["path"].encode()
        scope.clear()
        await respond(send, body)

    async with running(app, http=http, lifespan="off") as server, await server.connect() as client:
        for _ in range(4):
            await client.send(get("/same"))
            assert (await client.response()).body == b"/same"


@pytest.mark.parametrize(
    "error", [ValueError(), SystemExit(1), KeyboardInterrupt()], ids=lambda error: repr(error)
)
async def test_an_application_that_fails_while_it_is_cancelled_leaves_nothing(http, error, caplog):
    """Its client has gone, its grace is over, and then it raises something else."""
    caplog.set_level(logging.CRITICAL, "katana_asgi.error")
    ended = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/fine":
            await respond(send, b"fine")
            return
        await start(send)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
            raise error

    async def vanish(server) -> None:
        ended.clear()
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        await within(ended.wait())
        await within(everything_gone(server))
        error.__traceback__ = error.__context__ = None

    async with running(app, http=http, lifespan="off", timeout_disconnect=0) as server:
        await vanish(server)
        before = leftovers()
        for _ in range(5):
            await vanish(server)
        assert not leftovers() - before
        assert (await server.exchange(get("/fine"))).body == b"fine"
