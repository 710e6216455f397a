"""Calls of the application: files and trailers to peers that leave, tasks, adapters, scopes."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextvars import copy_context
from typing import Any

import pytest

from katana_asgi.asgi.adapters import adapt
from katana_asgi.asgi.loader import find_application, is_factory
from katana_asgi.asgi.message_trace import with_message_trace
from katana_asgi.asgi.request_ids import Identified
from katana_asgi.asgi.scope import http_scope, websocket_scope
from katana_asgi.asgi.slow_requests import request_line, with_slow_request_log
from katana_asgi.asgi.spans import with_spans
from katana_asgi.asgi.start import start
from katana_asgi.codec import scan_head
from katana_asgi.config.model import Config
from katana_asgi.errors import LocalProtocolError, StartupError
from katana_asgi.files.sending import CHUNK
from katana_asgi.observe.logs import TRACE
from katana_asgi.testing import HttpPeer, running
from tests.alone import Alone, turns
from tests.support import within

HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WITH_TRAILERS = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
HEAD = scan_head(HELLO, 1000, 1000, 10)[0]
LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}


def start_of(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": list(headers), **more}


def body_of(content: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Director:
    """An application that the test conducts, message by message."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.send: Any = None
        self.receive: Any = None
        self.over = asyncio.Event()
        self.there = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.there.set()
        await self.over.wait()


# -- messages out of order


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], {"type": "http.response.zero"}),
        ([], {"type": "http.response.trailers"}),
        ([start_of(), body_of()], {"type": "http.response.early_hint", "links": []}),
        ([start_of(), body_of()], start_of()),
        ([start_of(), body_of()], body_of()),
    ],
)
async def test_a_message_that_has_no_place_is_refused(before, message):
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        for each in before:
            await director.send(each)
        with pytest.raises(LocalProtocolError):
            await director.send(message)
        director.over.set()
        await turns(3)


async def _directed(worker: Alone) -> Director:
    director: Any = worker.context.application
    await within(director.there.wait())
    return director


async def test_trailers_come_last_once_and_only_where_they_may():
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(WITH_TRAILERS)
        director = await _directed(worker)
        trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
        await director.send(start_of(trailers=True))
        with pytest.raises(LocalProtocolError, match="before the content's end"):
            await director.send(trailers)
        await director.send(body_of(b"all"))
        with pytest.raises(LocalProtocolError, match="only trailers follow"):
            await director.send(body_of(b"more"))
        with pytest.raises(LocalProtocolError, match="must not be a trailer"):
            await director.send({**trailers, "headers": [(b"content-type", b"a/b")]})
        await director.send({**trailers, "more_trailers": True})
        await director.send({**trailers, "headers": [(b"x-end", b"2")]})
        with pytest.raises(LocalProtocolError, match="complete"):
            await director.send(trailers)
        director.over.set()
        await turns(3)
        assert transport.sent.endswith(b"3\r\nall\r\n0\r\nx-sum: 1\r\nx-end: 2\r\n\r\n")
        assert not transport.closing


async def test_trailers_for_a_peer_that_has_gone_end_the_response_in_silence():
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(WITH_TRAILERS)
        director = await _directed(worker)
        await director.send(start_of(trailers=True))
        transport.fail()
        await turns(3)
        await director.send(body_of(b"all", more=True))
        await director.send(body_of(b"all"))
        await director.send({"type": "http.response.trailers"})
        with pytest.raises(LocalProtocolError, match="complete"):
            await director.send({"type": "http.response.trailers"})
        director.over.set()
        await turns(3)
        assert transport.sent == b""
        assert not worker.context.running


@pytest.mark.parametrize("announced", [None, 6])
async def test_a_file_is_sent_between_other_content_and_before_trailers(announced, tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"file")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = [] if announced is None else [(b"content-length", b"%d" % announced)]
        await send(start_of(*length, trailers=announced is None))
        await send(body_of(b"<", more=True))
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file, "more_body": True})
        await send(body_of(b">"))
        if announced is None:
            await send({"type": "http.response.trailers", "headers": [(b"x", b"y")]})

    async with running(app) as server, await HttpPeer.open(server.host, server.port) as client:
        client.writer.write(WITH_TRAILERS)
        end = b"\r\nx: y\r\n\r\n" if announced is None else b"<file>"
        received = await within(client.reader.readuntil(end))
        assert received.endswith(
            b"1\r\n<\r\n4\r\nfile\r\n1\r\n>\r\n0" + end if announced is None else end
        )
        assert (b"content-length: 6" in received) is (announced is not None)


async def test_a_file_for_a_peer_that_has_gone_is_dropped(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        await director.send(start_of())
        transport.fail()
        await turns(3)
        await director.send({"type": "http.response.pathsend", "path": str(path)})
        director.over.set()
        await turns(3)
        assert transport.sent == b""
        assert not worker.context.running


async def test_a_file_behind_a_complete_response_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        await director.send(start_of())
        await director.send(body_of(b"all"))
        with path.open("rb") as file, pytest.raises(LocalProtocolError):
            await director.send({"type": "http.response.zerocopysend", "file": file})
        with pytest.raises(LocalProtocolError):
            await director.send({"type": "http.response.pathsend", "path": str(path)})
        director.over.set()
        await turns(3)


@pytest.mark.parametrize(("offset", "count"), [(-1, 2), (0, -1), (3, 5), (8, 0)])
async def test_a_part_that_is_not_in_the_file_is_refused_before_anything_is_sent(
    offset, count, tmp_path
):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        await director.send(start_of())
        message = {"type": "http.response.zerocopysend", "offset": offset, "count": count}
        with path.open("rb") as file, pytest.raises(LocalProtocolError, match="beyond"):
            await director.send({**message, "file": file})
        assert transport.sent == b""
        director.over.set()
        await turns(4)


# -- peers that leave, and hints before the response


async def test_a_call_may_go_on_after_it_has_ended_a_response_that_no_one_took():
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of())
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(body_of(b"all"))
        await asyncio.sleep(0.1)
        ended.append("by itself")

    await _ended_behind_a_peer_that_left(app)
    assert ended == ["by itself"]


async def test_a_stream_that_begins_when_its_peer_has_gone_is_cancelled_after_the_grace():
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of())
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(body_of(b"some", more=True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await _ended_behind_a_peer_that_left(app)
    assert ended == ["cancelled"]


async def _ended(worker: Alone) -> None:
    async def calls() -> None:
        while worker.context.running:
            await asyncio.sleep(0.01)

    await within(calls())


async def _ended_behind_a_peer_that_left(app: Any) -> None:
    """Let a peer ask and vanish, and wait until the call is over."""
    async with Alone(app, timeout_disconnect=0.01) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        transport.fail()
        await _ended(worker)


async def test_hints_come_before_the_response_as_link_fields_and_not_to_http_1_0():
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b>"]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        await send(hint)
        await send(start_of())
        await send(body_of(b"all"))

    async with Alone(app) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        await turns(3)
        hints, _, rest = bytes(transport.sent).partition(b"HTTP/1.1 200 OK\r\n")
        assert hints == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b>\r\n\r\n"
        )
        assert rest.endswith(b"\r\n\r\nall")
        _, transport = worker.connected()
        transport.feed(b"GET / HTTP/1.0\r\n\r\n")
        await turns(3)
        assert transport.sent.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_hints_for_a_peer_that_has_gone_are_dropped():
    async with Alone(Director()) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        transport.fail()
        await turns(3)
        await director.send({"type": "http.response.early_hint", "links": [b"</a>"]})
        assert transport.sent == b""
        director.over.set()
        await turns(3)


# -- tasks


async def test_a_task_may_be_named_cancelled_and_watched_before_its_first_wait():
    seen: list[Any] = []
    loop = asyncio.get_running_loop()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.append((task.get_name(), task.get_loop() is loop, task.cancelling()))
        task.set_name("mine")
        task.add_done_callback(lambda done: seen.append(done.get_name()))
        task.cancel()
        seen.append((task.cancelling(), task.uncancel()))
        assert "running" in repr(task) or "pending" in repr(task)
        await asyncio.sleep(0)
        task.set_name("later")
        assert task.get_coro() is not None

    made: list[asyncio.Task[None]] = []
    loop.call_soon(lambda: made.append(start(work(), loop, copy_context())))
    await turns(5)
    (task,) = made
    await within(asyncio.wait([task]))
    assert task.exception() is None
    assert seen[0][1:] == (True, 0)
    assert seen[1:] == [(1, 0), "later"]


async def test_a_task_that_is_cancelled_while_it_waits_for_the_first_time_is_told():
    loop = asyncio.get_running_loop()
    never = loop.create_future()
    made: list[asyncio.Task[None]] = []
    told: list[str] = []

    async def work() -> None:
        try:
            await never
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    loop.call_soon(lambda: made.append(start(work(), loop, copy_context())))
    await turns(2)
    made[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await made[0]
    assert told == ["cancelled"]
    assert never.cancelled()


# -- adapters and the loader


def test_what_has_no_signature_is_taken_for_an_application():
    assert adapt(dict, "auto") is dict
    assert not is_factory(dict)


def test_wsgi_without_its_package_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "katana_asgi.asgi.wsgi", None)
    with pytest.raises(StartupError, match=r"a2wsgi.*katana-asgi\[wsgi\]"):
        adapt(lambda environ, start_response: [], "wsgi")


def test_spans_without_their_package_are_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(StartupError, match=r"opentelemetry-api.*katana-asgi\[otel\]"):
        with_spans(Director())


def test_a_factory_that_raises_is_named():
    def make() -> Any:
        raise ValueError("no database")

    with pytest.raises(StartupError, match=r"the factory .* raised"):
        find_application(Config(app=make, factory=True))


# -- what stands around an application


@pytest.mark.parametrize(
    "around",
    [
        with_message_trace,
        with_spans,
        lambda app: with_slow_request_log(app, 0.0),
        lambda app: Identified(app, ids=True, timing=True),
    ],
)
async def test_the_lifespan_passes_through_unchanged(around, caplog):
    caplog.set_level(TRACE, "katana_asgi.error")
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive()))
        await send({"type": "lifespan.startup.complete"})

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        seen.append(message)

    await around(app)(LIFESPAN, receive, send)
    assert seen == [
        (LIFESPAN, {"type": "lifespan.startup"}),
        {"type": "lifespan.startup.complete"},
    ]
    traced = [record.getMessage() for record in caplog.records if record.levelno == TRACE]
    assert not traced or traced[0] == "ASGI [1] started lifespan"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("GET", b"/a", b""), "GET /a"),
        (("GET", b"/a", b"b=c"), "GET /a?b=c"),
        (("PUT", b"/\xe4\n", b"'"), "PUT /\\xe4\\n?'"),
    ],
)
def test_the_line_of_a_request_is_printable(arguments, line):
    assert request_line(*arguments) == line


async def test_only_requests_beyond_the_limit_are_logged_as_slow(caplog):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.clear()

    async def nothing(*_: Any) -> None:
        return None

    def scope() -> dict[str, Any]:
        return {"type": "http", "method": "GET", "raw_path": b"/slow", "query_string": b"q"}

    await with_slow_request_log(app, 1000.0)(scope(), nothing, nothing)
    assert caplog.records == []
    await with_slow_request_log(app, -1.0)(scope(), nothing, nothing)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Slow request: GET /slow?q took 0.")


async def test_the_scope_of_a_websocket_is_that_of_its_handshake():
    async with Alone(Director()) as worker:
        connection, transport = worker.connected()
        transport.feed(HELLO)
        director = await _directed(worker)
        scope = http_scope(worker.context, HEAD, connection.peer)
        assert scope["type"] == "http"
        made = websocket_scope(scope, ["chat"])
        assert made is scope
        assert (made["type"], made["scheme"], made["subprotocols"]) == ("websocket", "ws", ["chat"])
        assert made["asgi"]["spec_version"] == "2.5"
        assert list(made["extensions"]) == ["websocket.http.response"]
        assert "method" not in made
        director.over.set()
        await turns(3)


async def test_a_file_that_was_sent_leaves_no_one_watched_for_stalling(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of())
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with running(app) as server, await HttpPeer.open(server.host, server.port) as client:
        client.writer.write(HELLO)
        assert (await within(client.reader.readuntil(b"\r\n\r\ncontent"))).startswith(
            b"HTTP/1.1 200 "
        )
        context = server.server.context
        assert context is not None

        async def free() -> None:
            while context.running:
                await asyncio.sleep(0)

        await within(free())
        assert not context.clock.stalled
        assert context.clock.watched


# -- files in pieces, where the kernel cannot send them


PIECES = bytes(range(251)) * 2100
"""More than two pieces of a file."""


async def _sending(worker: Alone, path: Any, *fields: tuple[bytes, bytes], **options: Any) -> Any:
    """A response of ``path`` over what has TLS, under way."""
    _, transport = worker.connected(extra={"ssl_object": object()}, **options)
    transport.feed(HELLO)
    director = await _directed(worker)
    await director.send(start_of(*fields))
    message = {"type": "http.response.zerocopysend", "file": path.open("rb"), "more_body": True}
    sending = asyncio.ensure_future(director.send(message))
    sending.add_done_callback(lambda _: message["file"].close())
    return transport, director, sending


@pytest.mark.parametrize("takes", [True, False])
async def test_over_tls_a_file_is_sent_in_pieces_as_its_peer_takes_them(takes, tmp_path):
    assert len(PIECES) > 2 * CHUNK
    path = tmp_path / "file"
    path.write_bytes(PIECES)
    async with Alone(Director()) as worker:
        length = (b"content-length", b"%d" % (len(PIECES) + 3))
        transport, director, sending = await _sending(worker, path, length, takes=takes)
        if not takes:
            while not sending.done():
                await asyncio.sleep(0.001)
                transport.take()
        await within(sending)
        await director.send(body_of(b"end"))
        director.over.set()
        await turns(3)
        head, _, content = bytes(transport.sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert content == PIECES + b"end"


async def test_over_tls_a_file_of_unknown_place_is_one_chunk(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PIECES)
    async with Alone(Director()) as worker:
        transport, director, sending = await _sending(worker, path)
        await within(sending)
        await director.send(body_of())
        director.over.set()
        await turns(3)
        content = bytes(transport.sent).partition(b"\r\n\r\n")[2]
        assert content == b"%x\r\n%b\r\n0\r\n\r\n" % (len(PIECES), PIECES)


async def test_over_tls_a_peer_that_leaves_ends_the_sending_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PIECES)
    async with Alone(Director()) as worker:
        transport, director, sending = await _sending(worker, path, takes=False)
        while not transport.sent.count(b"\r\n\r\n"):
            await asyncio.sleep(0.001)
        transport.fail()
        await within(sending)
        director.over.set()
        await _ended(worker)
        assert len(transport.sent) < len(PIECES)


async def test_a_stream_whose_peer_has_all_of_it_is_not_cancelled():
    """Though its application has not said that nothing more comes."""
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of((b"content-length", b"3")))
        await send(body_of(b"all", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(0.1)
        ended.append("by itself")

    await _ended_behind_a_peer_that_left(app)
    assert ended == ["by itself"]


async def test_head_may_announce_another_length_than_its_file_has(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of((b"content-length", b"999")))
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with Alone(app) as worker:
        _, transport = worker.connected()
        transport.feed(HELLO.replace(b"GET", b"HEAD"))
        await turns(4)
        assert transport.sent.startswith(b"HTTP/1.1 200 ")
        assert transport.sent.count(b"content-length: 999\r\n") == 1
        assert transport.sent.endswith(b"\r\n\r\n")


async def test_a_file_without_an_offset_is_sent_from_where_it_stands(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start_of())
        with path.open("rb") as file:
            file.seek(3)
            await send({"type": "http.response.zerocopysend", "file": file})

    async with running(app) as server:
        response = await server.exchange(HELLO)
    assert (response.status, response.body) == (200, b"tent")


async def test_wsgi_does_not_see_headers_that_would_be_taken_for_others():
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        names = [name for name in environ if name.startswith("HTTP_")]
        return [" ".join(sorted(names)).encode()]

    async with running(app, interface="wsgi", lifespan="off") as server:
        fields = b"X-Mine: 1\r\nX_Remote_User: root\r\nProxy: http://evil\r\n"
        response = await server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert response.body == b"HTTP_HOST HTTP_X_MINE"
