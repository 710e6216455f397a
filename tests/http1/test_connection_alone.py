"""A connection without a kernel: what moves, winds down, is handed over or waits to be written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katana_asgi import StaticFiles, StaticRoute
from katana_asgi.asgi.dispatch import running_calls
from katana_asgi.asgi.writer import ResponseWriter
from katana_asgi.files.response import FileRange
from katana_asgi.http1.states import BUSY, CLOSED, LINGERING, READY, RECEIVING, drawing
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.http2.stream import Http2Stream
from tests.alone import Alone, turns
from tests.machines import Endings
from tests.support import within

HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
STATIC = b"GET /static HTTP/1.1\r\nHost: a\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes(3) + b"\x04" + bytes(5)
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Served:
    """An application whose calls wait for their gate, and that answers with ``content``."""

    def __init__(self, content: bytes = b"hello", *, opened: bool = True) -> None:
        self.content = content
        self.gate = asyncio.Event()
        self.calls = 0
        if opened:
            self.gate.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        await self.gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.content})


STATIC_ROUTE = (StaticRoute(path="/static", body="static"),)


# -- to another protocol


async def test_a_client_that_begins_with_the_preface_goes_on_with_http2():
    async with Alone(Served()) as worker:
        connection, transport = worker.connected()
        transport.feed(PREFACE + SETTINGS)
        await turns(3)
        assert connection.state == CLOSED
        assert transport.get_protocol() is not connection
        assert not transport.closing
        assert bytes(transport.sent[3:5]) == b"\x04\x00"  # its SETTINGS
        assert len(worker.context.clock.watched) == 1


@pytest.mark.parametrize("settings", [{"http2": "off"}, {}])
async def test_the_preface_is_refused_where_http2_is_off_or_http1_was_spoken_before(settings):
    async with Alone(Served(), **settings) as worker:
        connection, transport = worker.connected()
        if not settings:
            transport.feed(HELLO)
            await turns(3)
        before = len(transport.sent)
        transport.feed(PREFACE + SETTINGS)
        await turns(3)
        assert connection.state == LINGERING
        assert bytes(transport.sent[before:]).startswith(b"HTTP/1.1 505 ")


async def test_a_connection_that_becomes_a_websocket_keeps_behind_what_waits():
    """The answer before it leaves first, and the peer is watched as one that takes its time."""
    app = Served(b"x" * 4000)
    async with Alone(app) as worker:
        connection, transport = worker.connected(takes=False, high_water=1000)
        transport.feed(HELLO + HANDSHAKE)
        await turns(5)
        head, _, rest = bytes(transport.sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert rest[:4000] == b"x" * 4000
        if not rest[4000:]:  # it waits for the peer to take the first
            transport.take()
            await turns(5)
            rest = bytes(transport.sent).partition(b"\r\n\r\n")[2]
        assert rest[4000:].startswith(b"HTTP/1.1 101 ")
        stalled = worker.context.clock.stalled
        assert connection not in stalled
        transport.take()
        await turns(2)
        assert not stalled
        transport.fail()
        await turns(3)
        assert not worker.context.clock.watched


# -- to another worker


async def test_an_idle_connection_goes_on_elsewhere_with_what_it_has_left():
    async with Alone(Served(), limit_keep_alive_requests=3) as worker:
        first, transport = worker.connected()
        assert first.movable
        fresh = first.idle()
        assert fresh is not None
        assert (fresh.used, fresh.requests_left) == (False, 3)
        transport.feed(HELLO)
        await turns(3)
        idle = first.idle()
        assert idle is not None
        assert (idle.used, idle.requests_left) == (True, 2)
        assert idle.remaining == pytest.approx(75.0, abs=5.0)

        second, transport = worker.connected()
        second.resume(idle)
        assert second.deadline == pytest.approx(worker.context.clock.now + idle.remaining)
        again = second.idle()
        assert again is not None
        assert again[:2] == idle[:2]
        transport.feed(HELLO)
        await turns(3)
        assert b"connection: close" not in transport.sent
        transport.feed(HELLO)
        await turns(3)
        assert transport.sent.count(b"connection: close") == 1


async def test_a_connection_that_was_never_counted_takes_the_limit_of_its_new_worker():
    async with Alone(Served()) as worker:
        idle = worker.connected()[0].idle()
        assert idle is not None
        assert idle.requests_left == 0
    async with Alone(Served(), limit_keep_alive_requests=1) as worker:
        connection, transport = worker.connected()
        connection.resume(idle)
        transport.feed(HELLO)
        await turns(3)
        assert b"connection: close" in transport.sent


async def test_what_has_work_or_an_end_before_it_does_not_move():
    app = Served(opened=False)
    async with Alone(app, static_route=STATIC_ROUTE) as worker:
        busy, transport = worker.connected()
        transport.feed(HELLO)
        await turns(2)
        assert busy.idle() is None
        receiving, transport = worker.connected()
        transport.feed(b"GET / HT")
        assert receiving.idle() is None
        writing, transport = worker.connected(takes=False)
        transport.feed(STATIC)
        assert writing.idle() is None
        transport.take()
        assert writing.idle() is not None
        closing, transport = worker.connected()
        transport.closing = True
        assert closing.idle() is None
        lingering, transport = worker.connected()
        transport.feed(b"broken\r\n\r\n")
        assert not lingering.movable
        app.gate.set()


async def test_a_worker_that_drains_shortens_the_time_of_what_comes_to_it():
    async with Alone(Served()) as worker:
        idle = worker.connected()[0].idle()
        assert idle is not None
        worker.context.draining = True
        connection, _ = worker.connected()
        before = connection.deadline
        connection.resume(idle._replace(remaining=1000.0))
        assert connection.deadline == before
        connection.resume(idle._replace(remaining=0.5))
        assert connection.deadline == worker.context.clock.now + 0.5


# -- how it winds down


async def test_a_client_that_was_not_told_may_send_one_more_request_while_it_winds_down():
    async with Alone(Served()) as worker:
        asked, transport = worker.connected()
        silent, _ = worker.connected()
        asked.wind_down(0.05)
        silent.wind_down(0.05)
        assert silent.state == READY
        transport.feed(b"GET / HT")
        assert asked.state == RECEIVING

        async def closed() -> None:
            while silent.state != CLOSED:
                await asyncio.sleep(0.01)

        await within(closed())
        assert asked.state == RECEIVING  # its request is on the way
        transport.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
        await turns(3)
        assert transport.sent.startswith(b"HTTP/1.1 200 ")


async def test_without_grace_an_idle_connection_closes_at_once():
    async with Alone(Served()) as worker:
        connection, transport = worker.connected()
        connection.wind_down(0.0)
        assert connection.state == CLOSED
        assert transport.closing


async def test_a_response_that_has_not_begun_when_it_winds_down_is_the_last():
    app = Served(opened=False)
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(2)
        connection.wind_down(5.0)
        app.gate.set()
        await turns(3)
        assert b"connection: close" in transport.sent
        assert connection.state == LINGERING
        connection.shutdown()  # once more, which changes only its patience
        assert connection.state == LINGERING
        transport.end()
        await turns(2)
        assert connection.state == CLOSED


# -- what waits


async def test_a_request_behind_the_present_one_is_queued():
    app = Served(opened=False)
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        assert not connection.queued
        transport.feed(HELLO)
        assert not connection.queued
        transport.feed(HELLO)
        assert connection.queued
        app.gate.set()
        await turns(6)
        assert not connection.queued
        assert transport.sent.count(b"HTTP/1.1 200 OK") == 2
        assert app.calls == 2


async def test_half_a_head_behind_a_response_gets_its_time_once_the_response_is_taken():
    async with Alone(Served(b"y" * 3000), timeout_header=7.0) as worker:
        connection, transport = worker.connected(takes=False, high_water=100)
        transport.feed(HELLO + b"GET / HT")
        await turns(4)
        assert not transport.reading  # its next request waits for it to read
        worker.context.clock.now += 5.0
        transport.take()
        assert transport.reading
        assert connection.state == RECEIVING
        assert connection.deadline == worker.context.clock.after(7.0)
        transport.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
        await turns(3)
        assert transport.sent.count(b"HTTP/1.1 200 OK") == 2


async def test_a_stream_that_ends_before_its_content_was_asked_for_ends_the_connection():
    """The client waits for 100 and may send the content or not (RFC 9110 §10.1.1)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        await send({"type": "http.response.body", "body": b"more"})

    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        await turns(4)
        assert connection.state == LINGERING
        assert b"100 Continue" not in transport.sent
        assert transport.sent.endswith(b"4\r\nsome\r\n4\r\nmore\r\n0\r\n\r\n")
        assert transport.ended


async def test_over_tls_an_old_client_that_pipelines_is_not_lingered_for():
    async with Alone(Served()) as worker:
        connection, transport = worker.connected(half_closes=False)
        transport.feed(b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        await turns(3)
        assert transport.sent.count(b"HTTP/1.1 200") == 1
        assert connection.state == CLOSED


async def test_a_large_answer_follows_a_small_one_with_its_head():
    app = Served(b"small")
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        assert connection.state == READY
        app.content = b"z" * 40_000
        transport.feed(HELLO)
        await turns(3)
        first, second = bytes(transport.sent).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert first.endswith(b"\r\n\r\nsmall")
        assert second.endswith(b"\r\n\r\n" + b"z" * 40_000)
        assert b"content-length: 40000" in second


async def test_the_access_log_has_each_repetition_of_a_static_response(caplog):
    caplog.set_level("INFO", "katana_asgi.access")
    async with Alone(Served(), static_route=STATIC_ROUTE, access_log=True) as worker:
        _, transport = worker.connected()
        for _ in range(3):
            transport.feed(STATIC)
            await turns(2)
        assert transport.sent.count(b"\r\n\r\nstatic") == 3
        assert worker.context.requests == 3


async def test_a_peer_that_is_gone_before_its_answer_is_written_nothing():
    app = Served(opened=False)
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        writer = connection.writing
        transport.feed(HELLO)
        await turns(2)
        transport.fail()
        await turns(3)
        app.gate.set()
        await turns(3)
        # Whatever an application still asks of it.
        writer.send_content(b"late", False)
        writer.send_trailers(())
        writer.send_informational(103, ())
        writer.content_taken(3)
        writer.abandoned()
        await within(writer.drain())
        assert transport.sent == b""
        assert connection.state == CLOSED


@pytest.mark.parametrize("writer", [Http1Writer, Http2Stream])
def test_a_writer_has_all_that_an_exchange_asks_of_it(writer):
    promised = {name for name in vars(ResponseWriter) if not name.startswith("_")}
    promised |= set(ResponseWriter.__annotations__)
    assert "send_response" in promised
    assert promised <= set(dir(writer))


def test_the_drawing_of_the_states_has_every_transition():
    lines = drawing().splitlines()
    assert lines[:2] == ["| from | what happens | to |", "|---|---|---|"]
    assert "| READY | part of a head | RECEIVING |" in lines
    assert lines[-1] == "| any | aborted, or the connection is lost | CLOSED |"
    assert BUSY == 2


# -- a peer that sends no more


async def test_a_silent_stream_to_a_peer_that_sends_no_more_has_a_byte_now_and_then():
    """Zeros in front of the next chunk's size: a peer that has gone answers with a reset."""
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await gate.wait()
        await send({"type": "http.response.body", "body": b"last"})

    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        transport.end()
        assert connection.state == BUSY

        async def probed() -> None:
            while not transport.sent.endswith(b"5\r\nfirst\r\n0"):
                await asyncio.sleep(0.01)

        await within(probed())
        gate.set()
        await turns(3)
        assert transport.sent.endswith(b"5\r\nfirst\r\n04\r\nlast\r\n0\r\n\r\n")
        assert transport.closing


async def test_a_call_that_has_not_begun_its_response_is_not_probed():
    app = Served(opened=False)
    async with Alone(app, timeout_write=0.01) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        transport.end()
        await asyncio.sleep(0.6)  # more than two looks at it, and the write timeout
        assert connection.state == BUSY
        app.gate.set()
        await turns(3)
        assert transport.sent.endswith(b"\r\n\r\nhello")


async def test_a_stream_without_a_byte_to_probe_with_may_be_silent_for_the_write_timeout():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await receive()
        await asyncio.Event().wait()

    async with Alone(app, timeout_write=0.01, timeout_disconnect=0.0) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        transport.end()

        async def gone() -> None:
            while not transport.closing:
                await asyncio.sleep(0.01)

        await within(gone())
        assert transport.sent.endswith(b"\r\n\r\nfirst")


# -- small promises


async def test_pipelined_static_responses_leave_in_one_write():
    async with Alone(Served(), static_route=STATIC_ROUTE) as worker:
        _, transport = worker.connected()
        transport.feed(STATIC)
        assert transport.writes == 1
        transport.feed(STATIC * 3)
        assert transport.writes == 2
        assert transport.sent.count(b"\r\n\r\nstatic") == 4


@pytest.mark.parametrize("rest", [b"zz\r\n", b"3\r\nabcd", b"3\r\nabc\r\n0\r\n\r\n"])
async def test_what_comes_behind_a_refusal_is_dropped_however_broken_it_is(rest):
    async with Alone(Served(), limit_body_size=4) as worker:
        connection, transport = worker.connected()
        transport.feed(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde"
        )
        await turns(2)
        assert connection.state == LINGERING
        sent = bytes(transport.sent)
        assert sent.startswith(b"HTTP/1.1 413 ")
        transport.feed(b"\r\n" + rest)
        transport.feed(b"more of it")
        assert transport.sent == sent
        transport.end()
        assert transport.closing


async def test_the_calls_under_way_are_those_of_one_worker():
    app = Served(opened=False)
    async with Alone(app) as worker, Alone(app) as other:
        for each in (worker, worker, other):
            each.connected()[1].feed(HELLO)
        await turns(2)
        calls = running_calls(worker.context)
        assert len(calls) == 2
        assert all(exchange.task is task for task, exchange in calls)
        assert all(exchange.head.method == "GET" for _, exchange in calls)
        app.gate.set()
        await turns(3)
        assert running_calls(worker.context) == []


async def test_a_websocket_is_pinged_when_it_was_silent_and_has_its_time_to_answer():
    async with Alone(Served(), ws_ping_interval=10.0, ws_ping_timeout=5.0) as worker:
        clock = worker.context.clock
        _, transport = worker.connected()
        transport.feed(HANDSHAKE)
        await turns(3)
        (stream,) = clock.watched
        assert stream.deadline == clock.after(10.0)
        before = len(transport.sent)
        clock.now += 10.0
        stream.deadline_passed()
        assert bytes(transport.sent[before:]) == b"\x89\x00"
        assert stream.deadline == clock.after(5.0)
        transport.feed(b"\x8a\x80" + bytes(4))  # the pong
        clock.now += 5.0
        stream.deadline_passed()
        assert bytes(transport.sent[before:]) == b"\x89\x00"
        clock.now += 5.0
        stream.deadline_passed()
        assert bytes(transport.sent[before:]) == b"\x89\x00" * 2
        clock.now += 5.0
        stream.deadline_passed()
        assert bytes(transport.sent[before + 4 :]).startswith(b"\x88")  # it has not answered


async def test_a_file_in_memory_that_is_not_worth_a_copy_follows_its_head(tmp_path):
    """And the static responses that wait in front of it."""
    content = bytes(range(256)) * 160
    (tmp_path / "large.bin").write_bytes(content)
    mounts = [StaticFiles("/files", str(tmp_path))]
    large = b"GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n"
    async with Alone(Served(), static_dir=mounts, static_route=STATIC_ROUTE) as worker:
        await worker.served(large)  # from now on it is in memory
        await within(worker.served(large))
        _, transport = worker.connected()
        transport.feed(STATIC + large + large)
        await turns(3)
        first, second, third = bytes(transport.sent).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert first.endswith(b"\r\n\r\nstatic")
        assert second == third
        assert second.partition(b"\r\n\r\n")[2] == content
        assert b"content-length: 40960\r\n" in second
        assert transport.writes == 3


@pytest.mark.parametrize("length", [3, 0])
async def test_a_file_for_a_connection_that_has_gone_is_not_read(length):
    app = Served(opened=False)
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(2)
        transport.fail()
        await turns(3)
        told: list[int] = []
        await connection.writing.send_file(FileRange(None, 0, length), told.append)
        assert told == []
        app.gate.set()


async def test_only_a_stream_in_chunks_has_a_byte_to_probe_with():
    app = Served(opened=False)
    async with Alone(app) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(2)
        assert not connection.writing.probe()
        app.gate.set()
        await turns(3)
        assert b"\r\n0" not in transport.sent


# -- what was found by mutants


async def test_a_static_request_that_repeats_waits_for_the_answer_before_it():
    """It was answered without parsing before, and is the same read again."""
    app = Served(opened=False)
    async with Alone(app, static_route=STATIC_ROUTE) as worker:
        _, transport = worker.connected()
        for _ in range(4):
            transport.feed(STATIC)
            await turns(3)
        before = len(transport.sent)
        assert transport.sent.count(b"\r\n\r\nstatic") == 4
        transport.feed(HELLO)
        transport.feed(STATIC)
        await turns(3)
        assert len(transport.sent) == before
        app.gate.set()
        await turns(5)
        rest = bytes(transport.sent[before:])
        assert rest.index(b"hello") < rest.index(b"\r\n\r\nstatic")


async def test_a_bare_cr_at_the_beginning_of_a_read_is_refused_before_the_head_is_whole():
    async with Alone(Served()) as worker:
        connection, transport = worker.connected()
        transport.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX: y")
        transport.feed(b"\rz: 1\r\n")
        await turns(3)
        assert bytes(transport.sent).startswith(b"HTTP/1.1 400 ")
        assert connection.state == LINGERING


@pytest.mark.parametrize("ours", [True, False])
async def test_who_has_ended_a_call_is_told(ours):
    async with Alone(Served(opened=False)) as worker:
        worker.context.observer = observer = Endings()
        connection, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        if ours:
            connection.abort()
        else:
            transport.fail()
        await turns(3)
        assert list(observer.endings.values()) == [["aborted" if ours else "client left"]]
