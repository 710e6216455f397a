"""Clients that go away, wholly or by half (ASGI HTTP 2.5; RFC 9112 §9.6)."""

from __future__ import annotations

import asyncio
import gc

import pytest

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.testing import running
from tests.applications import Probe, content_of, get, raised_by, respond, start
from tests.support import talking, within

START = {"type": "http.response.start", "status": 200}
MORE = {"type": "http.response.body", "body": b"o", "more_body": True}
LAST = {"type": "http.response.body", "body": b"k"}

RAISES = {"lifespan": "off", "disconnect": "raise"}


async def gone(receive) -> None:
    """Read until the client has gone."""
    while (await within(receive()))["type"] != "http.disconnect":
        pass


async def send_until_it_raises(send) -> BaseException:
    """Send pieces until the client's absence shows."""
    while True:
        error = await raised_by(send, MORE)
        if error is not None:
            return error
        await asyncio.sleep(0)


# -- line 16: send after the client has gone, where it raises


@pytest.mark.parametrize("begun", [False, True])
async def test_send_to_a_vanished_client_raises_an_oserror(http, begun):
    errors = []

    async def app(scope, receive, send):
        if begun:
            await start(send)
            await send(MORE)
        await gone(receive)
        if not begun:
            # The start is taken: an application that then enters its generator also leaves it.
            errors.append(await raised_by(send, START) or await raised_by(send, LAST))
        else:
            errors.append(await send_until_it_raises(send))
            errors.extend([await raised_by(send, LAST), await raised_by(send, LAST)])

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        client = await server.connect()
        await client.send(get())
        if begun:
            await client.head()
        client.reset()
        assert await probe.end() is None
    assert len(errors) == (3 if begun else 1)
    for error in errors:
        assert isinstance(error, ClientDisconnected)
        assert isinstance(error, OSError)


@pytest.mark.parametrize("size", [10_000, 1_000_000])
async def test_an_application_that_sends_without_a_pause_learns_of_the_disconnect(http, size):
    """It never lets the event loop say so by itself."""

    async def app(scope, receive, send):
        await start(send)
        piece = {"type": "http.response.body", "body": bytes(size), "more_body": True}
        for _ in range(100_000_000 // size):
            if (error := await raised_by(send, piece)) is not None:
                raise error

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        assert isinstance(await probe.end(), ClientDisconnected)


async def test_an_application_that_lets_the_disconnect_out_is_not_logged(http, caplog):
    async def app(scope, receive, send):
        await gone(receive)
        await respond(send, b"too late")

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        assert isinstance(await probe.end(), ClientDisconnected)
    assert caplog.records == []


async def test_a_disconnect_that_comes_out_in_disguise_is_not_logged(http, caplog):
    """Starlette makes an exception of its own of it, task groups wrap it."""

    class ClientDisconnect(Exception):
        pass

    async def app(scope, receive, send):
        await gone(receive)
        try:
            await respond(send)
        except OSError:
            if scope["path"] == "/":
                raise ClientDisconnect from None
        async with asyncio.TaskGroup() as group:
            group.create_task(send(LAST))

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        for target, kind in (("/", ClientDisconnect), ("/group", ExceptionGroup)):
            client = await server.connect()
            await client.send(get(target))
            client.reset()
            assert isinstance(await probe.end(), kind)
    assert caplog.records == []


async def test_another_error_after_the_disconnect_is_logged(http, caplog):
    async def app(scope, receive, send):
        await gone(receive)
        raise RuntimeError("something else")

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        await probe.end()
    assert "something else" in caplog.text


async def test_a_client_that_closes_in_the_ordinary_way_shows_at_the_second_send(http, caplog):
    """A closing client looks like a half-closed one until it answers a segment with RST."""

    async def app(scope, receive, send):
        await start(send)
        await send(MORE)
        await gone(receive)
        raise await send_until_it_raises(send)

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        async with await server.connect() as client:
            await client.send(get())
            await client.head()
        assert isinstance(await probe.end(), ClientDisconnected)
    assert caplog.records == []


async def test_a_send_that_waits_for_a_client_ends_when_the_client_goes(http):
    begun = asyncio.Event()

    async def app(scope, receive, send):
        await start(send)
        while True:
            sending = asyncio.ensure_future(
                send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
            )
            await asyncio.sleep(0)
            if not sending.done():
                begun.set()
            await sending

    probe = Probe(app)
    async with running(probe, http=http, **RAISES) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()
        await client.send(get())
        await within(begun.wait())
        client.reset()
        assert isinstance(await probe.end(), ClientDisconnected)


# -- ... and where it does not, which is the default


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("spec_version", ["2.3"])
async def test_send_to_a_vanished_client_does_nothing(http, begun, spec_version, caplog):
    """Most applications are written for servers where it does not raise."""
    versions = []

    async def app(scope, receive, send):
        versions.append(scope["asgi"]["spec_version"])
        if begun:
            await start(send)
            await send(MORE)
        await gone(receive)
        if not begun:
            await start(send)
        await send(MORE)
        await send(LAST)

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off") as server:
        client = await server.connect()
        await client.send(get())
        if begun:
            await client.head()
        client.reset()
        assert await probe.end() is None
    assert versions == [spec_version]
    assert caplog.records == []


async def test_what_an_application_gets_wrong_raises_though_its_client_has_gone(http, caplog):
    async def app(scope, receive, send):
        await gone(receive)
        await send(LAST)

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off") as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        assert isinstance(await probe.end(), LocalProtocolError)


async def test_an_application_that_only_sends_does_not_keep_the_loop_and_is_cancelled(http):
    """It hears of nothing: each send to a vanished client gives others a turn."""

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await respond(send, b"ok")
            return
        await start(send)
        while True:
            await send(MORE)

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_disconnect=0.02) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        assert (await server.exchange(get("/other"))).body == b"ok"
        ends = [await probe.end(), await probe.end()]
    assert {type(end) for end in ends} == {type(None), asyncio.CancelledError}


async def test_whoever_asks_for_raising_is_told_so_in_the_scope(http):
    versions = []

    async def app(scope, receive, send):
        versions.append(scope["asgi"]["spec_version"])
        await respond(send)

    async with running(app, http=http, **RAISES) as server:
        await server.exchange(get())
    assert versions == ["2.5"]


# -- line 17: receive after the end


async def test_receive_after_the_response_says_disconnect_every_time(http):
    messages = []

    async def app(scope, receive, send):
        await content_of(receive)
        await respond(send, b"ok")
        messages.extend([await within(receive()) for _ in range(3)])

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.response()
        assert await probe.end() is None
    assert messages == [{"type": "http.disconnect"}] * 3


async def test_receive_after_the_end_answers_at_once_and_yet_gives_way(
    http,
):
    """Some ask whether the client has gone and wait for nothing, others ask again and again."""
    ended = False

    async def app(scope, receive, send):
        nonlocal ended
        await content_of(receive)
        await respond(send, b"ok")
        asking = receive()
        with pytest.raises(StopIteration) as told:
            asking.send(None)
        assert told.value.value == {"type": "http.disconnect"}
        asyncio.get_running_loop().call_soon(gate.set)
        while not gate.is_set():
            await receive()
        ended = True

    gate = asyncio.Event()
    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.response()
        assert await probe.end() is None
    assert ended


async def test_receive_after_the_response_says_disconnect_with_content_unread(http):
    messages = []

    async def app(scope, receive, send):
        await respond(send, b"ok")
        messages.append(await within(receive()))

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get("/", "Content-Length: 3", method="POST") + b"abc")
        await client.response()
        assert await probe.end() is None
    assert messages == [{"type": "http.disconnect"}]


async def test_receive_after_the_client_has_gone_says_disconnect_every_time(http):
    messages = []

    async def app(scope, receive, send):
        await gone(receive)
        messages.extend([await within(receive()) for _ in range(3)])

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off") as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        assert await probe.end() is None
    assert messages == [{"type": "http.disconnect"}] * 3


async def test_a_receive_that_waits_ends_with_the_response(http):
    messages = []

    async def app(scope, receive, send):
        await content_of(receive)
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await respond(send, b"ok")
        messages.append(await within(waiting))

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.response()
        assert await probe.end() is None
    assert messages == [{"type": "http.disconnect"}]


async def test_two_receives_that_wait_both_end(http):
    messages = []

    async def app(scope, receive, send):
        await content_of(receive)
        both = asyncio.gather(receive(), receive())
        await asyncio.sleep(0)
        await respond(send, b"ok")
        messages.extend(await within(both))

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.response()
        assert await probe.end() is None
    assert messages == [{"type": "http.disconnect"}] * 2


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_client_that_goes_within_its_content_is_a_disconnect(http, framing, how):
    messages = []
    begun = asyncio.Event()

    async def app(scope, receive, send):
        messages.append(await receive())
        begun.set()
        messages.append(await within(receive()))

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off") as server:
        client = await server.connect()
        await client.send(get("/", framing, method="POST") + b"3\r\nabc\r\n")
        await within(begun.wait())
        client.reset() if how == "reset" else client.writer.close()
        assert await probe.end() is None
    assert messages[0]["more_body"] is True
    assert messages[1] == {"type": "http.disconnect"}


# -- line 18: streams that nobody reads


async def test_a_stream_whose_client_has_gone_is_cancelled_after_the_grace(http, caplog):
    async def app(scope, receive, send):
        await start(send)
        await send(MORE)
        await asyncio.Event().wait()  # an event source with nothing to tell

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_disconnect=0.02) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        assert isinstance(await probe.end(), asyncio.CancelledError)
    assert caplog.records == []


async def test_a_stream_that_ends_within_the_grace_is_left_alone(http):
    async def app(scope, receive, send):
        await start(send)
        await send(MORE)
        await gone(receive)

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_disconnect=30) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        client.reset()
        assert await probe.end() is None


async def until_no_connection(server) -> None:
    """Wait until the server has noticed that its clients have gone."""
    while server.server.connections:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_call_that_outlives_its_connection_is_not_collected(http, answered):
    """An event loop refers to tasks weakly, and this one waits for what only it knows of."""
    began, ended = asyncio.Event(), []

    async def app(scope, receive, send):
        if answered:
            await respond(send)
        began.set()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(type(error))
            raise

    settings = {"lifespan": "off", "timeout_graceful_shutdown": 0.1, "http": http}
    async with running(app, **settings) as server:
        async with await server.connect() as client:
            await client.send(get())
            await within(began.wait())
            client.reset()
        await within(until_no_connection(server))
        gc.collect()
        await asyncio.sleep(0)
        assert ended == []
    assert ended == [asyncio.CancelledError]


async def test_an_application_that_has_not_begun_its_response_may_finish(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await respond(send, b"ok")
            return
        await gone(receive)
        await gate.wait()

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_disconnect=0) as server:
        client = await server.connect()
        await client.send(get())
        client.reset()
        # With a grace of nothing, whole exchanges pass and the call is still there.
        for _ in range(3):
            assert (await server.exchange(get("/other"))).body == b"ok"
            assert await probe.end() is None
        gate.set()
        assert await probe.end() is None


# -- line 22: half-closed clients


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_half_closed_client_gets_its_answer(http, version):
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        content = await content_of(receive)
        arrived.set()
        await gate.wait()
        await respond(send, content)

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", method="POST", version=version) + b"abc")
        client.half_close()
        await within(arrived.wait())
        gate.set()
        assert (await client.response()).body == b"abc"
        assert await client.closed()


async def test_a_half_closed_client_gets_its_whole_stream(http):
    gates = [asyncio.Event() for _ in range(4)]

    async def app(scope, receive, send):
        await start(send)
        for gate in gates:
            await send(MORE)
            await gate.wait()
        await send(LAST)

    async with talking(app, http=http, timeout_disconnect=0) as client:
        await client.send(get())
        client.half_close()
        await client.head()
        for gate in gates:
            assert await within(client.reader.readexactly(6)) == b"1\r\no\r\n"
            gate.set()
        assert await client.rest() == b"1\r\nk\r\n0\r\n\r\n"


async def test_a_half_closed_client_gets_the_answers_to_all_it_asked(http):
    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await respond(send, scope["path"].encode())

    async with talking(app, http=http) as client:
        await client.send(get("/1") + get("/2") + get("/3"))
        client.half_close()
        for number in (b"/1", b"/2", b"/3"):
            assert (await client.response()).body == number
        assert await client.closed()


@pytest.mark.parametrize("turns", range(8))
async def test_a_client_may_half_close_at_any_time_between_its_answers(http, turns):
    """Also after the first response, in the turn in which the second request begins."""

    async def app(scope, receive, send):
        await respond(send, scope["path"].encode())

    async with talking(app, http=http) as client:
        client.writer.write(get("/1") + get("/2") + get("/3"))
        for _ in range(turns):
            await asyncio.sleep(0)
        client.half_close()
        for number in (b"/1", b"/2", b"/3"):
            assert (await client.response()).body == number
        assert await client.closed()


async def test_a_half_closed_client_gets_its_first_answer_though_content_of_a_second_lacks(http):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        while (await receive())["type"] != "http.disconnect":
            pass  # the second call would begin once this one has ended
        await respond(send, scope["path"].encode())

    async with talking(app, http=http) as client:
        await client.send(get("/1") + get("/2", "Content-Length: 9", method="POST") + b"half")
        client.half_close()
        assert (await client.response()).body == b"/1"
        assert await client.rest() == b""
    assert calls == ["/1"]


async def test_a_half_closed_client_that_goes_during_its_second_answer_is_noticed(http):
    async def app(scope, receive, send):
        if scope["path"] == "/1":
            await asyncio.sleep(0)
            await respond(send)
            return
        await start(send)
        await send(MORE)
        await asyncio.Event().wait()

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_disconnect=0) as server:
        client = await server.connect()
        await client.send(get("/1") + get("/2"))
        client.half_close()
        await client.response()
        await client.head()
        client.reset()
        assert await probe.end() is None
        assert isinstance(await probe.end(), asyncio.CancelledError)


async def test_a_half_closed_client_that_asked_for_half_a_request_more_gets_the_first(http):
    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await respond(send, scope["path"].encode())

    async with talking(app, http=http) as client:
        await client.send(get("/1") + b"GET /2 HTTP/1.1\r\nHo")
        client.half_close()
        assert (await client.response()).body == b"/1"
        assert await client.rest() == b""


async def test_receive_hints_at_a_half_closed_client_once_the_content_is_delivered(http):
    messages = []

    async def app(scope, receive, send):
        while len(messages) < 3:
            messages.append(await within(receive()))
        await respond(send, b"still there")

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", method="POST") + b"abc")
        client.half_close()
        assert (await client.response()).body == b"still there"
    assert messages == [
        {"type": "http.request", "body": b"abc", "more_body": False},
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]


async def test_a_client_that_half_closes_without_a_request_is_let_go(http):
    async def app(scope, receive, send):
        raise AssertionError("nothing was asked")

    for beginning in (b"", b"GET / HT", get()[:-2], b"\r\n"):
        async with talking(app, http=http) as client:
            if beginning:
                await client.send(beginning)
            client.half_close()
            assert await client.closed()


async def test_a_stream_that_broken_content_breaks_off_is_cancelled_after_the_grace(http, caplog):
    async def app(scope, receive, send):
        await start(send)
        await send(MORE)
        await asyncio.Event().wait()

    probe = Probe(app)
    async with talking(probe, http=http, timeout_disconnect=0.02) as client:
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        await client.head()
        await client.send(b"zz\r\n")
        assert isinstance(await probe.end(), asyncio.CancelledError)
    assert caplog.records == []
