"""What the access log says of real exchanges, beside what their client saw."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi import StaticRoute
from katana_asgi.observe.request_ids import RequestIdFilter
from katana_asgi.testing import WebSocketPeer, opening, running
from tests.access_lines import access_lines
from tests.applications import Probe, content_of, get, respond, start
from tests.support import within
from tests.websocket_peer import bye, text

FIELDS = ("status", "method", "target", "bytes_in", "bytes_out", "remark", "request_id", "client")


@pytest.fixture
def lines():
    with access_lines() as found:
        yield found


SETTINGS = {"access_log": True, "lifespan": "off", "access_log_format": "json"}


async def echo(scope, receive, send):
    body = await content_of(receive)
    fields = [(b"content-type", b"text/plain"), (b"x-path", scope["raw_path"])]
    await respond(send, body, 201, fields)


async def test_a_line_says_what_the_client_saw(lines, http):
    form = "%(h)s|%(r)s|%(s)s|%(B)s|%(bytes_in)s|%({x-path}o)s|%({x-mine}i)s|%(U)s|%(q)s"
    async with running(echo, **{**SETTINGS, "access_log_format": form, "http": http}) as server:
        post = get("/p?q=1", "Content-Length: 5", "X-Mine: y", method="POST")
        response = await server.exchange(post + b"12345")
        logged = (await lines.next()).split("|")
    assert logged == [
        "127.0.0.1",
        "POST /p?q=1 HTTP/1.1",
        str(response.status),
        str(len(response.body)),
        "5",
        response.header(b"x-path").decode(),
        "y",
        "/p",
        "q=1",
    ]


async def test_bytes_are_those_of_the_content_however_it_travels(lines):
    async def app(scope, receive, send):
        await content_of(receive)
        kind = scope["path"]
        lengths = [(b"content-length", b"6")] if kind == "/length" else []
        await start(send, 204 if kind == "/204" else 200, lengths)
        for piece in (b"abc", b"def"):
            await send({"type": "http.response.body", "body": piece, "more_body": piece == b"abc"})

    async with running(app, **SETTINGS) as server, await server.connect() as client:
        sent = []
        for target, method in (
            ("/chunks", "GET"),
            ("/length", "GET"),
            ("/length", "HEAD"),
            ("/204", "GET"),
            ("/chunks", "GET"),
        ):
            await client.send(get(target, method=method))
            sent.append(len((await client.response(method)).body))
        chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST") + chunks)
        await client.response()
        entries = [await lines.entry() for _ in range(6)]
    assert [entry["bytes_out"] for entry in entries] == [*sent, 6]
    assert [entry["bytes_in"] for entry in entries] == [0, 0, 0, 0, 0, 3]


async def test_a_repeated_request_after_one_with_content_has_none(lines):
    async with running(echo, **SETTINGS) as server, await server.connect() as client:
        for request in (get(), get("/", "Content-Length: 3", method="POST") + b"abc", get()):
            await client.send(request)
            await client.response()
        assert [(await lines.entry())["bytes_in"] for _ in range(3)] == [0, 3, 0]


async def test_a_static_route_has_the_fields_and_bytes_that_went_out(lines):
    form = "%(s)s %(B)s %({content-type}o)s %({content-length}o)s"
    route = (StaticRoute(path="/s", body="hello"),)
    settings = {**SETTINGS, "access_log_format": form, "static_route": route}
    async with running(echo, **settings) as server:
        response = await server.exchange(get("/s"))
        await server.exchange(get("/s", method="HEAD"), method="HEAD")
        content_type = response.header(b"content-type").decode()
        assert await lines.next() == f"200 5 {content_type} 5"
        assert await lines.next() == f"200 0 {content_type} 5"


# -- clients that leave, responses that break off


async def test_a_client_that_does_not_wait_is_logged_as_499(lines):
    entered = asyncio.Event()

    async def app(scope, receive, send):
        entered.set()
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async with running(app, **SETTINGS) as server:
        async with await server.connect() as client:
            await client.send(get("/slow"))
            await within(entered.wait())
            client.reset()
        entry = await lines.entry()
    assert (entry["status"], entry["target"], entry["remark"]) == (499, "/slow", "client left")
    assert entry["bytes_out"] == 0
    assert lines.lines.empty()


async def test_a_client_that_leaves_in_the_middle_is_logged_with_what_it_got(lines):
    async def app(scope, receive, send):
        await start(send, 206)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with running(app, **SETTINGS) as server:
        async with await server.connect() as client:
            await client.send(get("/stream"))
            await client.head()
            client.reset()
        entry = await lines.entry()
    assert (entry["status"], entry["remark"]) == (499, "client left after 206")
    assert entry["bytes_out"] == 5


async def test_a_response_that_the_application_breaks_off_has_a_line(lines):
    async def app(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise RuntimeError("in the middle")

    async with running(app, **SETTINGS) as server:
        async with await server.connect() as client:
            await client.send(get("/broken"))
            await client.rest()
        entry = await lines.entry()
    assert (entry["status"], entry["bytes_out"], entry["remark"]) == (200, 5, "broken off")


async def test_a_refusal_says_why_and_what_went_out(lines):
    async with running(echo, **SETTINGS, limit_body_size=10) as server:
        response = await server.exchange(get("/big", "Content-Length: 11", method="POST"))
        entry = await lines.entry()
        assert entry["status"] == response.status == 413
        assert entry["target"] == "/big"
        assert entry["bytes_out"] == len(response.body)
        assert entry["remark"] == "content too large"
        bad = await server.exchange(b"\x00\r\n\r\n")
        entry = await lines.entry()
        assert (entry["status"], entry["method"], entry["target"]) == (bad.status, "-", "-")


async def test_a_websocket_has_one_line_with_what_passed(lines):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "answer"})
        await send({"type": "websocket.close", "code": 4001})

    settings = {**SETTINGS, "access_log_fields": (*FIELDS, "messages_in", "messages_out", "a")}
    async with running(app, **settings) as server:
        async with await server.connect() as client:
            peer = await WebSocketPeer.over(client, opening("/chat"))
            await peer.send(text("hello"))
            assert await peer.text() == "answer"
            assert (await peer.closing())[0] == 4001
            await peer.send(bye(4001))
            await peer.ended()
        entry = await lines.entry()
    assert (entry["status"], entry["method"], entry["target"]) == (101, "GET", "/chat")
    assert (entry["messages_in"], entry["messages_out"]) == (1, 1)
    assert entry["remark"] == "closed 4001"


# -- who it was


async def test_the_client_is_the_same_one_in_every_line(lines):
    route = (StaticRoute(path="/static", body="s"),)
    settings = {**SETTINGS, "static_route": route, "limit_body_size": 1}
    forwarded = "X-Forwarded-For: 192.0.2.1"
    async with running(echo, **settings) as server:
        await server.exchange(get("/", forwarded))
        await server.exchange(get("/static", forwarded))
        await server.exchange(get("/", forwarded, "Content-Length: 2", method="POST"))
        assert {(await lines.entry())["client"] for _ in range(3)} == {"192.0.2.1"}


# -- request ids


async def asked(lines, request: bytes, **settings):
    """The response to a request, the scope the application got, and the line."""
    probe = Probe(echo)
    async with running(probe, **{**SETTINGS, **settings}) as server:
        response = await server.exchange(request)
        return response, probe.scopes[0], await lines.entry()


async def test_an_id_is_in_the_scope_the_response_and_the_line(lines):
    response, scope, entry = await asked(lines, get(), request_id="generate")
    chosen = response.header(b"x-request-id").decode()
    assert len(chosen) == 32
    assert scope["state"]["request_id"] == chosen == entry["request_id"]
    assert not [key for key in scope if key.startswith("katana")]


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"request_id": "trust"}, True),
        ({"request_id": "generate"}, False),
        ({"request_id": "trust", "forwarded_allow_ips": ("192.0.2.1",)}, False),
        ({"request_id": "trust", "proxy_headers": False}, False),
    ],
)
async def test_an_id_is_taken_from_a_trusted_peer_only(lines, settings, taken):
    request = get("/", "X-Request-ID: from-outside", "X-Forwarded-For: 198.51.100.1")
    response, scope, entry = await asked(lines, request, **settings)
    assert (response.header(b"x-request-id") == b"from-outside") is taken
    assert entry["request_id"] == response.header(b"x-request-id").decode()
    assert not [key for key in scope if key.startswith("katana")]


@pytest.mark.parametrize("odd", ["a b", 'a"b', "x" * 129, ""])
async def test_an_id_that_would_be_trouble_is_not_taken(lines, odd):
    response, _, _ = await asked(lines, get("/", f"X-Request-ID: {odd}"), request_id="trust")
    assert len(response.header(b"x-request-id")) == 32


async def test_without_the_setting_there_is_no_id(lines):
    response, scope, entry = await asked(lines, get("/", "X-Request-ID: from-outside"))
    assert response.header(b"x-request-id") is None
    assert "request_id" not in scope["state"]
    assert entry["request_id"] is None


async def test_every_request_of_a_connection_has_an_id_of_its_own(lines):
    async with running(echo, **SETTINGS, request_id="generate") as server:
        async with await server.connect() as client:
            ids = set()
            for _ in range(4):
                await client.send(get())
                ids.add((await client.response()).header(b"x-request-id"))
    assert len(ids) == 4


async def test_an_application_that_fails_still_has_its_id_in_log_and_answer(lines, caplog):
    async def app(scope, receive, send):
        raise RuntimeError("early")

    caplog.handler.addFilter(id_filter := RequestIdFilter())
    try:
        async with running(app, **SETTINGS, request_id="generate") as server:
            response = await server.exchange(get())
    finally:
        caplog.handler.removeFilter(id_filter)
    (record,) = [record for record in caplog.records if record.name == "katana_asgi.error"]
    assert response.status == 500
    assert record.request_id.encode() == response.header(b"x-request-id")


async def test_an_id_of_the_applications_own_stays_alone(lines):
    async def app(scope, receive, send):
        await respond(send, b"", 200, [(b"X-Request-Id", b"mine")])

    async with running(app, **SETTINGS, request_id="generate") as server:
        assert (await server.exchange(get())).header(b"x-request-id") == b"mine"


async def test_lines_of_many_requests_carry_the_id_of_their_own(lines):
    seen = []
    lines.addFilter(RequestIdFilter())
    lines.addFilter(lambda record: seen.append(record.request_id) or True)
    async with running(echo, **SETTINGS, request_id="generate") as server:
        sent = [await server.exchange(get()) for _ in range(2)]
        for _ in sent:
            await lines.next()
    ids = [response.header(b"x-request-id").decode() for response in sent]
    assert len(set(ids)) == 2
    assert seen == ids


async def test_server_timing_tells_how_long_the_answer_took(lines):
    async with running(echo, **SETTINGS, server_timing=True) as server:
        value = (await server.exchange(get())).header(b"server-timing")
    assert value.startswith(b"app;dur=")
    assert 0 <= float(value[8:]) < 60_000


async def test_a_trace_is_named_in_the_line(lines):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    _, _, entry = await asked(lines, get("/", f"traceparent: 00-{trace}-00f067aa0ba902b7-01"))
    assert entry["trace_id"] == trace


async def test_the_bytes_of_a_websocket_are_those_of_its_frames(lines):
    """Sent at once, in a burst, in large pieces, and the close at the end."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await receive()
            await send({"type": "websocket.send", "text": "one"})
        for size in (3, 200, 5, 100_000, 7):
            await send({"type": "websocket.send", "bytes": bytes(size)})
        await send({"type": "websocket.close"})

    settings = {**SETTINGS, "access_log_fields": (*FIELDS, "messages_in", "messages_out", "a")}
    async with running(app, **settings) as server:
        async with await server.connect() as client:
            client.writer.write(opening("/chat"))
            await within(client.reader.readuntil(b"\r\n\r\n"))
            frames = [text("hello"), text("again"), bye(1000)]
            received = b""
            for frame in frames[:2]:
                client.writer.write(frame)
                received += await within(client.reader.readexactly(5))
            client.writer.write(frames[2])
            received += await within(client.reader.read(-1))
        entry = await lines.entry()
    assert received.count(b"\x81\x03one") == 2
    assert (entry["messages_in"], entry["messages_out"]) == (2, 7)
    assert entry["bytes_in"] == sum(map(len, frames))
    assert entry["bytes_out"] == len(received)
