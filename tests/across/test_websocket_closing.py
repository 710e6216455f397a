"""Every way a WebSocket ends, and what each side is told (obligations 27, 28 and 31)."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.testing import WebSocketPeer, running
from tests.applications import get, raised_by
from tests.support import within
from tests.websocket.websocket_frames import CLOSE, PING, TEXT, closing, masked
from tests.websocket_peer import SocketProbe, accept, bye, disconnected, echo, open_socket, text

SEND = {"type": "websocket.send", "text": "late"}


def told(code: int, reason: str = "") -> dict:
    """What ``receive`` says at the end."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


async def listen(scope, receive, send):
    """Accept, and return what ``receive`` says at the end, twice, and what ``send`` raises."""
    await accept(receive, send)
    last = await disconnected(receive)
    assert await receive() == last
    return last, await raised_by(send, SEND), await raised_by(send, {"type": "websocket.close"})


# -- line 28: the client ends it


@pytest.mark.parametrize(
    ("frame", "answer", "disconnect"),
    [
        (bye(1000), (1000, ""), told(1000)),
        (bye(1001, "going away"), (1001, "going away"), told(1001, "going away")),
        (bye(4321, "ünd"), (4321, "ünd"), told(4321, "ünd")),
        (bye(None), (None, ""), told(1005)),
    ],
)
async def test_a_close_frame_is_answered_and_told(http, frame, answer, disconnect):
    probe = SocketProbe(listen)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(frame)
        assert await peer.closing() == answer
        assert await peer.ended()
        last, *errors = await probe.end()
        assert last == disconnect
        for error in errors:
            assert isinstance(error, ClientDisconnected)
            assert isinstance(error, OSError)


@pytest.mark.parametrize("way", ["reset", "half_close"])
async def test_a_connection_that_drops_is_1006(http, way):
    probe = SocketProbe(listen)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(text("before"))
        getattr(peer.connection, way)()
        last, *errors = await probe.end()
        assert last == told(1006)
        assert all(isinstance(error, ClientDisconnected) for error in errors)
        if way == "half_close":
            assert await peer.ended()


async def test_messages_before_the_end_are_still_received(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        return [await receive() for _ in range(4)]

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(text("1") + text("2"), text("3") + bye(4000))
        assert await peer.closing() == (4000, "")
        assert await peer.ended()
        gate.set()
        *messages, last = await probe.end()
        assert [message["text"] for message in messages] == ["1", "2", "3"]
        assert last == told(4000)


@pytest.mark.parametrize(
    ("ending", "code"), [(bye(4000), 4000), (masked(TEXT, b"\xff"), 1007), (b"", 1006)]
)
async def test_the_last_frame_counts_also_when_the_connection_ends_with_it(http, ending, code):
    probe = SocketProbe(listen)
    async with open_socket(probe, http=http) as (_, peer):
        peer.connection.writer.write(text("before") + ending)
        peer.connection.half_close()
        assert (await probe.end())[0]["code"] == code


async def test_answers_to_what_came_in_one_read_go_out_before_the_close(http):
    async with open_socket(echo, http=http) as (_, peer):
        await peer.send(text("1") + text("2") + text("3") + bye(4000))
        assert [await peer.text() for _ in range(3)] == ["1", "2", "3"]
        assert await peer.closing() == (4000, "")
        assert await peer.ended()


async def test_an_application_that_lets_the_disconnect_out_is_not_logged(http, caplog):
    async def app(scope, receive, send):
        await accept(receive, send)
        await disconnected(receive)
        await send(SEND)

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.leave()
        assert isinstance(await probe.end(), ClientDisconnected)
    assert caplog.records == []


async def test_another_error_after_the_disconnect_is_logged(http, caplog):
    async def app(scope, receive, send):
        await accept(receive, send)
        await disconnected(receive)
        raise ValueError("something else")

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.leave()
        await probe.end()
    assert "something else" in caplog.text


async def test_a_client_that_drops_ends_a_send_that_waits(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        while (
            error := await raised_by(send, {"type": "websocket.send", "bytes": bytes(1 << 20)})
        ) is None:
            started.set()
        return error

    started = asyncio.Event()
    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await within(started.wait())
        peer.connection.reset()
        assert isinstance(await probe.end(), ClientDisconnected)


# -- line 27: the application ends it


async def test_an_application_that_returns_closes_with_1000(http):
    async def app(scope, receive, send):
        await accept(receive, send)

    async with open_socket(app, http=http) as (_, peer):
        assert await peer.closing() == (1000, "")
        await peer.send(bye())
        assert await peer.ended()


async def test_an_application_that_raises_closes_with_1011(http, caplog):
    async def app(scope, receive, send):
        await accept(receive, send)
        raise ValueError("out of order")

    async with open_socket(app, http=http) as (_, peer):
        assert await peer.closing() == (1011, "")
        await peer.send(bye(1011))
        assert await peer.ended()
    assert "out of order" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_nothing_an_application_raises_ends_the_server(http, caplog, error):
    async def app(scope, receive, send):
        await accept(receive, send)
        raise error

    async with open_socket(SocketProbe(app), http=http) as (server, peer):
        assert await peer.closing() == (1011, "")
        assert (await server.exchange(get("/on"))).body == b"/on"
    assert type(error).__name__ in caplog.text


async def test_an_application_that_cancels_itself_closes_with_1011(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        asyncio.current_task().cancel()
        await receive()

    async with open_socket(app, http=http) as (_, peer):
        assert await peer.closing() == (1011, "")


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ({}, (1000, "")),
        ({"code": 1001}, (1001, "")),
        ({"code": 4999, "reason": "ünd"}, (4999, "ünd")),
        ({"code": 3000, "reason": None}, (3000, "")),
        ({"code": None, "reason": "*" * 123}, (1000, "*" * 123)),
    ],
)
async def test_the_application_closes_and_hears_the_answer(http, message, frame):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close", **message})
        return await receive()

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        assert await peer.closing() == frame
        await peer.send(bye(4001, "as you wish"))
        assert await peer.ended()
        assert await probe.end() == told(4001, "as you wish")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"code": 999}, LocalProtocolError),
        ({"code": 1004}, LocalProtocolError),
        ({"code": 1005}, LocalProtocolError),
        ({"code": 1006}, LocalProtocolError),
        ({"code": 1015}, LocalProtocolError),
        ({"code": 1016}, LocalProtocolError),
        ({"code": 2999}, LocalProtocolError),
        ({"code": 5000}, LocalProtocolError),
        ({"code": -1}, LocalProtocolError),
        ({"code": 70_000}, LocalProtocolError),
        ({"reason": "*" * 124}, LocalProtocolError),
        ({"reason": "\ud800"}, LocalProtocolError),
        ({"code": "1000"}, TypeError),
        ({"code": 1000.0}, TypeError),
        ({"code": True}, TypeError),
        ({"reason": b"bytes"}, TypeError),
    ],
)
async def test_a_close_that_may_not_be_raises_and_changes_nothing(http, message, error):
    async def app(scope, receive, send):
        await accept(receive, send)
        raised = await raised_by(send, {"type": "websocket.close", **message})
        await send({"type": "websocket.send", "text": type(raised).__name__})
        await disconnected(receive)

    async with open_socket(app, http=http) as (_, peer):
        assert await peer.text() == error.__name__
        await peer.leave()


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("late", [SEND, {"type": "websocket.close"}, {"type": "websocket.accept"}])
async def test_the_application_may_send_nothing_after_its_close(http, answered, late):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close", "code": 4000})
        if answered:
            await disconnected(receive)
        return await raised_by(send, late)

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        assert await peer.closing() == (4000, "")
        await peer.send(bye(4000))
        assert await peer.ended()
        assert isinstance(await probe.end(), LocalProtocolError)


# -- the close handshake


async def test_data_and_pings_after_our_close_are_ignored(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close"})
        return await receive()

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        assert await peer.closing() == (1000, "")
        await peer.send(text("late"), masked(PING, b"late"), text("later") + bye(1000, "bye"))
        assert await peer.ended()
        assert await probe.end() == told(1000, "bye")


async def test_data_after_the_clients_close_is_ignored(http):
    probe = SocketProbe(listen)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(bye(1000) + text("late") + masked(PING) + bye(4000))
        assert await peer.closing() == (1000, "")
        assert await peer.ended()
        assert (await probe.end())[0] == told(1000)


@pytest.mark.parametrize("ending", ["nothing", "half_close", "reset", "breach"])
async def test_a_close_that_is_not_answered_ends_in_time(http, ending):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close"})
        return await receive()

    probe = SocketProbe(app)
    settings = {"http": http, "timeout_ws_close": 0.1 if ending == "nothing" else 60}
    async with open_socket(probe, **settings) as (_, peer):
        assert await peer.closing() == (1000, "")
        if ending == "breach":
            await peer.send(masked(CLOSE, closing(1005)))
        elif ending != "nothing":
            getattr(peer.connection, ending)()
        end = await probe.end()
        assert end["code"] == (1002 if ending == "breach" else 1006)
        if ending != "reset":
            assert await peer.ended()


async def test_a_client_that_never_reads_does_not_keep_a_closed_websocket(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        # More than fits: the close frame waits behind it.
        much = {"type": "websocket.send", "bytes": bytes(1 << 26)}
        sending = asyncio.ensure_future(raised_by(send, much))
        await asyncio.sleep(0)
        await send({"type": "websocket.close"})
        assert await sending is None
        return await receive()

    probe = SocketProbe(app)
    async with open_socket(probe, http=http, timeout_ws_close=0.1) as (_, peer):
        peer.connection.writer.transport.pause_reading()
        assert await probe.end() == told(1006)


async def test_a_close_in_the_same_read_as_the_clients_needs_no_second_answer(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        message = await receive()
        await send({"type": "websocket.close", "code": 4000})
        gate.set()
        return message, await receive()

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(text("close yourself"))
        await within(gate.wait())
        await peer.send(bye(4001))  # crossed with the server's on the way
        assert await peer.closing() == (4000, "")
        assert await peer.ended()
        assert (await probe.end())[1] == told(4001)


# -- receive


async def test_a_receive_that_is_cancelled_loses_no_message(http):
    cancelled = asyncio.Event()
    sent = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        cancelled.set()
        await sent.wait()
        # A message has come and woken the next one, which is cancelled before it runs.
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            return [waiting.result()["text"], (await receive())["text"]]
        return [(await receive())["text"], (await receive())["text"]]

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await within(cancelled.wait())
        await peer.send(text("1") + text("2"))
        sent.set()
        assert await probe.end() == ["1", "2"]


async def test_a_receive_with_a_timeout_loses_no_message_when_both_come_at_once(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        got = []
        while len(got) < 50:
            waiting = asyncio.ensure_future(receive())
            waiting.add_done_callback(lambda _: None)
            await asyncio.sleep(0)
            # The message may come before the cancellation, with it or after it.
            asyncio.get_running_loop().call_soon(waiting.cancel)
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                got.append(waiting.result()["text"])
        return got

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        for number in range(50):
            await peer.send(text(str(number)))
        assert await probe.end() == [str(number) for number in range(50)]


async def test_two_receives_get_one_message_each(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        first, second = await asyncio.gather(receive(), receive())
        return {first["text"], second["text"]}

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.send(text("1"), text("2"))
        assert await probe.end() == {"1", "2"}


async def test_two_receives_are_both_told_of_the_end(http):
    async def app(scope, receive, send):
        await accept(receive, send)
        return await asyncio.gather(receive(), receive())

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.leave()
        assert await probe.end() == [told(1000), told(1000)]


async def test_a_websocket_may_be_the_affair_of_several_tasks(http):
    async def app(scope, receive, send):
        await accept(receive, send)

        async def talk():
            for number in range(20):
                await send({"type": "websocket.send", "text": f"told {number}"})
                await asyncio.sleep(0)

        talking = asyncio.ensure_future(talk())
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        await talking

    async with open_socket(app, http=http) as (_, peer):
        await peer.send(*[text(f"echo {number}") for number in range(20)])
        got = [await peer.text() for _ in range(40)]
        assert [each for each in got if "told" in each] == [f"told {n}" for n in range(20)]
        assert [each for each in got if "echo" in each] == [f"echo {n}" for n in range(20)]
        await peer.leave()


async def test_the_next_websocket_does_not_suffer_from_the_last(http):
    async with running(echo, http=http, lifespan="off") as server:
        for ending in (bye(), masked(TEXT, b"\xff"), b"\x00\x00"):
            async with await server.connect() as connection:
                peer = await WebSocketPeer.over(connection)
                await peer.send(text("hello"))
                assert await peer.text() == "hello"
                await peer.send(ending)
                await peer.closing()
                assert await peer.ended()
