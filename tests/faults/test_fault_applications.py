"""Whatever an application does, the worker serves on and keeps nothing of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katana_asgi.testing import HttpPeer, running
from tests.amounts import examples
from tests.applications import get, raised_by, respond, start
from tests.faults.leftovers import everything_gone, leftovers
from tests.support import within

BODY = {"type": "http.response.body", "body": b"body"}
MORE = {**BODY, "more_body": True}


class Private(BaseException):
    """An exception of an application's own that is no ``Exception``."""


RAISED = [
    ValueError("value"),
    OSError("no such thing"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    Private(),
    MemoryError(),
    RecursionError(),
    StopIteration(),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    TimeoutError(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError()]),
]


async def before_start(receive, send, error):
    raise error


async def after_start(receive, send, error):
    await start(send)
    raise error


async def within_a_stream(receive, send, error):
    await start(send)
    await send(MORE)
    raise error


async def while_receiving(receive, send, error):
    await receive()
    receiving = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    receiving.cancel()
    raise error


async def after_completion(receive, send, error):
    await respond(send, b"complete")
    raise error


async def after_a_pause(receive, send, error):
    await asyncio.sleep(0)
    raise error


async def while_another_is_handled(receive, send, error):
    try:
        await send({"type": "nonsense"})
    finally:
        raise error


async def with_a_cause(receive, send, error):
    raise error from error


PLACES = [
    before_start,
    after_start,
    within_a_stream,
    while_receiving,
    after_completion,
    after_a_pause,
    while_another_is_handled,
    with_a_cause,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_nothing_that_is_raised_ends_the_server_or_stays(http, place, no_collector):
    async def app(scope, receive, send):
        if scope["path"] == "/fine":
            await respond(send, b"fine")
        else:
            await place(receive, send, RAISED[int(scope["path"][1:])])

    async with running(app, http=http, lifespan="off") as server:

        async def fail_in_every_way() -> None:
            for number in range(len(RAISED)):
                async with await server.connect() as client:
                    await client.send(get(f"/{number}", "Connection: close"))
                    answer = await client.rest()
                    if place is within_a_stream:
                        assert answer.endswith(b"4\r\nbody\r\n")
                    elif place is after_completion:
                        assert answer.endswith(b"\r\ncomplete")
                    else:
                        assert answer.startswith(b"HTTP/1.1 500 ")
                for error in RAISED:  # an exception that is kept keeps what its traceback shows
                    error.__traceback__ = error.__context__ = error.__cause__ = None
            assert (await server.exchange(get("/fine", "Connection: close"))).body == b"fine"
            await everything_gone(server)

        await fail_in_every_way()
        before = leftovers()
        await fail_in_every_way()
        assert not leftovers() - before


# -- after the end


async def test_messages_of_another_task_after_completion_raise_and_harm_nothing(http):
    results: asyncio.Queue = asyncio.Queue()
    sends = []

    async def app(scope, receive, send):
        await respond(send, scope["path"].encode())
        sends.append((receive, send))

    async def late(receive, send):
        results.put_nowait(await raised_by(send, MORE))
        results.put_nowait(await raised_by(send, {"type": "http.response.start", "status": 200}))
        results.put_nowait(await receive())

    async with running(app, http=http, lifespan="off") as server, await server.connect() as client:
        for number in range(3):
            await client.send(get(f"/{number}"))
            assert (await client.response()).body == b"/%d" % number
            await asyncio.ensure_future(late(*sends[0]))  # of the first request, each time
            assert isinstance(await results.get(), Exception)
            assert isinstance(await results.get(), Exception)
            assert (await results.get())["type"] == "http.disconnect"
        await client.send(get("/last", "Connection: close"))
        assert (await client.response()).body == b"/last"  # no byte of it came
        assert await client.closed()


async def test_two_tasks_may_send_at_once_and_one_of_them_fails(http):
    async def app(scope, receive, send):
        await asyncio.gather(respond(send, b"one"), respond(send, b"two"), return_exceptions=True)

    async with running(app, http=http, lifespan="off") as server, await server.connect() as client:
        for _ in range(3):
            await client.send(get())
            assert (await client.response()).body in (b"one", b"two")


async def test_an_application_that_swallows_its_cancellation_is_left_alone(http):
    """Its client has gone and its grace is over: it goes on, for itself."""
    cancelled, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/fine":
            await respond(send, b"fine")
            return
        await start(send)
        await send(MORE)
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.set()

    async with running(app, http=http, lifespan="off", timeout_disconnect=0) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        await within(cancelled.wait())
        assert (await server.exchange(get("/fine"))).body == b"fine"
        gate.set()
        await everything_gone(server)


async def test_an_application_that_cancels_itself_is_answered_for(http):
    async def app(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async with running(app, http=http, lifespan="off") as server:
        for _ in range(2):
            assert (await server.exchange(get("/"))).status == 500


# -- any message in any order

STATUSES = st.one_of(
    st.integers(-1, 1200),
    st.sampled_from([99, 100, 101, 103, 199, 200, 204, 304, 999, 1000, 2**70]),
    st.sampled_from(["200", None, True, 200.0, b"200", ...]),
)
TEXTS = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"x", b"Content-Length", b"3", b"4", b"a\r\nb: c", b"\0", b"Connection"]),
    st.sampled_from(["text", None, 3, [], b"close"]),
)
HEADERS = st.one_of(
    st.lists(st.tuples(TEXTS, TEXTS), max_size=4),
    st.lists(st.one_of(TEXTS, st.tuples(TEXTS, TEXTS, TEXTS)), max_size=3),
    st.sampled_from([None, 7, "headers", {}, {b"a": b"b"}]),
)
BODIES = st.one_of(
    st.binary(max_size=6), st.sampled_from([None, "text", 3, bytearray(b"ab"), memoryview(b"cd")])
)
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("http.response.start")},
        optional={"status": STATUSES, "headers": HEADERS, "trailers": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"type": st.just("http.response.body")},
        optional={"body": BODIES, "more_body": st.one_of(st.booleans(), st.sampled_from([0, "y"]))},
    ),
    st.sampled_from(
        [{}, None, "text", 3, [], {"type": None}, {"type": "http.response.trailers"}, {"type": 7}]
    ),
    st.sampled_from(
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body", "body": b"abc"},
            {"type": "http.response.body", "body": b"abc", "more_body": True},
        ]
    ),
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    messages=st.lists(MESSAGES, max_size=6), lets_out=st.booleans(), method=st.sampled_from("GH")
)
def test_any_messages_give_one_whole_response_or_a_closed_connection(messages, lets_out, method):
    logger = logging.getLogger("katana_asgi.error")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        asyncio.run(_check_messages(messages, lets_out, method))
    finally:
        logger.setLevel(level)


async def _check_messages(messages, lets_out, method) -> None:
    async def app(scope, receive, send):
        if scope["path"] == "/fine":
            await respond(send, b"fine")
            return
        for message in messages:
            try:
                await send(message)
            except Exception:
                if lets_out:
                    raise

    async with running(app, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(get("/", method=method))
            try:
                # Checks the framing: a length and chunks exclude each other, names are tokens.
                response = await client.response(method)
                assert 200 <= response.status <= 999
            except asyncio.IncompleteReadError:
                await client.closed()  # broken off: the client can tell
            else:
                await _nothing_but_an_answer(client)
        assert (await server.exchange(get("/fine"))).body == b"fine"


async def _nothing_but_an_answer(client: HttpPeer) -> None:
    """Behind a whole response comes the next answer, or the end."""
    with suppress(ConnectionError):
        await client.send(get("/fine", "Connection: close"))
        assert (await client.rest())[-8:] in (b"", b"\r\n\r\nfine")
