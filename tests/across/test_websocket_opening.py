"""The opening handshake as application and client see it (ASGI WebSocket 2.5, RFC 6455 §4)."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.testing import WebSocketPeer, opening, running
from tests.applications import get, raised_by
from tests.support import talking, within
from tests.websocket_peer import SocketProbe, accept, disconnected, echo, open_socket, text

GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def denial(kind: str, **more) -> dict:
    """Part of a denial response."""
    return {"type": f"websocket.http.response.{kind}", **more}


# -- the scope


async def test_the_scope_tells_of_the_handshake(http):
    probe = SocketProbe(echo)
    request = opening(
        "/caf%C3%A9?a=b", "X-One: 1", "X-One: 2", "Sec-WebSocket-Protocol: chat, superchat"
    )
    async with open_socket(probe, request, http=http) as (server, peer):
        client = peer.connection.writer.get_extra_info("sockname")
        await peer.leave()
    scope = probe.scopes[0]
    headers = scope.pop("headers")
    assert scope.pop("state").keys() == {"katana.shutdown"}
    assert headers[0] == (b"host", b"example")
    assert [value for name, value in headers if name == b"x-one"] == [b"1", b"2"]
    assert (b"sec-websocket-version", b"13") in headers
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/café",
        "raw_path": b"/caf%C3%A9",
        "query_string": b"a=b",
        "root_path": "",
        "client": (client[0], client[1]),
        "server": (server.host, server.port),
        "subprotocols": ["chat", "superchat"],
        "extensions": {"websocket.http.response": {}},
    }


async def test_a_trusted_proxy_makes_it_wss(http):
    probe = SocketProbe(echo)
    request = opening("/", "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7")
    async with open_socket(probe, request, http=http):
        pass
    assert probe.scopes[0]["scheme"] == "wss"
    assert probe.scopes[0]["client"] == ("192.0.2.7", 0)


async def test_a_trusted_proxy_says_no_more_about_a_websocket_than_is_believed(http):
    probe = SocketProbe(echo)
    claims = ("X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /evil", "Forwarded: proto=wss")
    async with open_socket(probe, opening("/a", *claims), http=http):
        pass
    scope = probe.scopes[0]
    assert (scope["scheme"], scope["path"], scope["root_path"]) == ("ws", "/a", "")
    assert dict(scope["headers"])[b"host"] == b"example"


async def test_each_websocket_gets_a_copy_of_the_state_and_a_context_of_its_own(http):
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            variable.set("startup")
            scope["state"]["shared"] = ["startup"]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await accept(receive, send)
        seen.append((variable.get(), sorted(scope["state"]), list(scope["state"]["shared"])))
        variable.set(scope["path"])
        scope["state"]["own"] = scope["path"]
        message = await receive()
        seen.append((variable.get(), message["text"]))

    async with (
        running(app, http=http) as server,
        await server.connect() as first,
        await server.connect() as second,
    ):
        one = await WebSocketPeer.over(first, opening("/one"))
        two = await WebSocketPeer.over(second, opening("/two"))
        await one.send(text("1"))
        assert await one.closing() == (1000, "")
        await two.send(text("2"))
        assert await two.closing() == (1000, "")
    begun = ("startup", ["katana.shutdown", "shared"], ["startup"])
    assert seen == [begun, begun, ("/one", "1"), ("/two", "2")]


# -- line 29: accept


async def test_accept_sends_the_headers_of_the_application(http):
    headers = [
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-own", b" spaced "),
        (b"date", b"its own"),
        (b"content-length", b"5"),
        (b"upgrade", b"something"),
        (b"transfer-encoding", b"chunked"),
    ]

    async def app(scope, receive, send):
        await accept(receive, send, headers=headers)

    async with open_socket(app, http=http, header=[("X-Server", "s")]) as (_, peer):
        response = peer.response
        assert response.headers_named(b"set-cookie") == [b"a=1", b"b=2"]
        assert response.header(b"x-own") == b"spaced"
        assert response.header(b"date") == b"its own"
        assert response.header(b"server") == b"katana-asgi"
        assert response.header(b"x-server") == b"s"
        assert response.header(b"content-length") is None
        assert response.header(b"transfer-encoding") is None
        assert response.header(b"sec-websocket-protocol") is None
        assert response.header(b"sec-websocket-extensions") is None


async def test_a_subprotocol_that_was_offered_is_agreed(http):
    async def app(scope, receive, send):
        await accept(receive, send, subprotocol=scope["subprotocols"][1])

    request = opening("/", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,c")
    async with open_socket(app, request, http=http) as (_, peer):
        assert peer.response.header(b"sec-websocket-protocol") == b"b"


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": [(b"sec-websocket-protocol", b"chat")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"x")]},
        {"headers": [(b"sec-websocket-extensions", b"x")]},
        {"headers": [(b"x", b"a\r\nb: c")]},
        {"headers": [(b"x y", b"a")]},
    ],
)
async def test_a_wrong_accept_raises_and_nothing_is_sent(http, wrong):
    errors = []

    async def app(scope, receive, send):
        await receive()
        errors.append(await raised_by(send, {"type": "websocket.accept", **wrong}))
        await send({"type": "websocket.accept", "subprotocol": "chat"})

    request = opening("/", "Sec-WebSocket-Protocol: chat")
    async with open_socket(app, request, http=http) as (_, peer):
        assert peer.response.header(b"sec-websocket-protocol") == b"chat"
        assert await peer.closing() == (1000, "")
    assert [type(error) for error in errors] == [LocalProtocolError]


async def test_a_subprotocol_that_was_not_offered_is_left_out(http, caplog):
    """As other servers do: a client has to fail over one (RFC 6455 §4.1), and does without."""

    async def app(scope, receive, send):
        await accept(receive, send, subprotocol="never")
        await disconnected(receive)

    request = opening("/", "Sec-WebSocket-Protocol: chat")
    async with open_socket(app, request, http=http) as (_, peer):
        assert peer.response.header(b"sec-websocket-protocol") is None
        await peer.leave()
    assert "'never'" in caplog.text


async def test_accept_may_come_before_receive(http):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        assert await receive() == {"type": "websocket.connect"}
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"]})

    async with open_socket(app, http=http) as (_, peer):
        await peer.send(text("hello"))
        assert await peer.text() == "hello"


async def test_frames_that_come_before_the_answer_are_delivered_after_it(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await echo(scope, receive, send)

    async with talking(app, http=http) as connection:
        await connection.send(opening() + text("one"), text("two"))
        gate.set()
        peer = await WebSocketPeer.over(connection, b"")
        assert (await peer.text(), await peer.text()) == ("one", "two")


async def test_a_handshake_may_follow_other_requests(http):
    async with talking(SocketProbe(echo), http=http) as connection:
        await connection.send(get("/1") + get("/2") + opening() + text("behind"))
        assert (await connection.response()).body == b"/1"
        assert (await connection.response()).body == b"/2"
        peer = await WebSocketPeer.over(connection, b"")
        assert await peer.text() == "behind"


# -- line 27: refused, and applications that fail


async def test_close_before_accept_is_403_and_the_connection_goes_on(http):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 4000, "reason": "no"})
        return [await receive(), await receive()]

    probe = SocketProbe(app)
    async with talking(probe, http=http) as connection:
        await connection.send(opening())
        response = await connection.response()
        assert (response.status, response.body) == (403, b"Forbidden\n")
        assert response.header(b"upgrade") is None
        assert response.header(b"sec-websocket-accept") is None
        assert await probe.end() == [GONE, GONE]
        await connection.send(get("/next"))
        assert (await connection.response()).body == b"/next"


async def test_an_application_that_raises_before_accept_is_500(http, caplog):
    async def app(scope, receive, send):
        raise ValueError("too early")

    async with talking(app, http=http) as connection:
        await connection.send(opening())
        assert (await connection.response()).status == 500
        assert await connection.closed()
    assert "too early" in caplog.text


async def test_an_application_that_returns_without_an_answer_is_500(http, caplog):
    async def app(scope, receive, send):
        await receive()

    async with talking(app, http=http) as connection:
        await connection.send(opening())
        assert (await connection.response()).status == 500
    assert "returned without answering the WebSocket handshake" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "early"},
        {"type": "websocket.unknown"},
        {"type": "http.response.start", "status": 200},
        {"type": "websocket.http.response.other"},
        {"type": None},
        {"type": "websocket.http.response.body", "body": b""},
        {"type": "websocket.http.response.start", "status": 101},
    ],
)
async def test_what_does_not_answer_a_handshake_raises(http, message):
    async def app(scope, receive, send):
        error = await raised_by(send, message)
        await echo(scope, receive, send)
        return error

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.leave()
        assert isinstance(await probe.end(), LocalProtocolError)


async def test_a_message_without_a_type_raises(http):
    async def app(scope, receive, send):
        error = await raised_by(send, {})
        await echo(scope, receive, send)
        return error

    probe = SocketProbe(app)
    async with open_socket(probe, http=http) as (_, peer):
        await peer.leave()
        assert isinstance(await probe.end(), KeyError)


# -- line 30: denial responses


async def test_a_denial_response_streams_and_the_connection_goes_on(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        headers = [(b"x-why", b"because"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")]
        await send(denial("start", status=401, headers=headers))
        await send(denial("body", body=b"not ", more_body=True))
        error = await raised_by(send, {"type": "websocket.accept"})
        await gate.wait()
        await send(denial("body", body=b"you"))
        return error, await receive(), await raised_by(send, denial("body", body=b"more"))

    probe = SocketProbe(app)
    async with talking(probe, http=http) as connection:
        await connection.send(opening())
        head = await connection.head()
        assert (head.status, head.reason) == (401, b"Unauthorized")
        assert head.header(b"x-why") == b"because"
        assert head.header(b"upgrade") is None
        assert head.header(b"connection") is None
        assert head.header(b"transfer-encoding") == b"chunked"
        assert await within(connection.reader.readexactly(9)) == b"4\r\nnot \r\n"
        gate.set()
        assert await within(connection.reader.readexactly(13)) == b"3\r\nyou\r\n0\r\n\r\n"
        error, message, late = await probe.end()
        assert isinstance(error, LocalProtocolError)
        assert message == GONE
        assert isinstance(late, LocalProtocolError)
        await connection.send(get("/next"))
        assert (await connection.response()).body == b"/next"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_denial_without_content_has_none(http, status):
    async def app(scope, receive, send):
        await send(denial("start", status=status))
        await send(denial("body", body=b"dropped"))

    probe = SocketProbe(app)
    async with talking(probe, http=http) as connection:
        await connection.send(opening() + get("/next"))
        assert (await connection.response()).status == status
        assert (await connection.response()).body == b"/next"


async def test_a_denial_is_framed_anew_after_a_chunked_response(http):
    async def app(scope, receive, send):
        prefix = "websocket." if scope["type"] == "websocket" else ""
        await send({"type": f"{prefix}http.response.start", "status": 400})
        body = {"type": f"{prefix}http.response.body", "body": b"no"}
        if not prefix:
            await send({**body, "more_body": True})
        await send(body)

    async with talking(app, http=http) as connection:
        await connection.send(get("/"))
        assert (await connection.response()).body == b"nono"
        await connection.send(opening())
        response = await connection.response()
        assert (response.status, response.body) == (400, b"no")
        assert response.header(b"content-length") == b"2"


async def test_an_application_that_ends_within_a_denial_breaks_it_off(http, caplog):
    async def app(scope, receive, send):
        await send(denial("start", status=400))
        await send(denial("body", body=b"begun", more_body=True))

    async with talking(app, http=http) as connection:
        await connection.send(opening())
        await connection.head()
        assert await connection.rest() == b"5\r\nbegun\r\n"
    assert "without completing its response" in caplog.text


# -- wrong handshakes, and those that are none


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (opening(version="8"), 426),
        (opening(version=""), 426),
        (opening(key=None), 400),
        (opening(key="short"), 400),
        (opening("/", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (opening("/", "Sec-WebSocket-Protocol: caf\u00e9"), 400),
        (opening("/", "Sec-WebSocket-Protocol: a, a"), 400),
        (opening("/", "Sec-WebSocket-Extensions: ;"), 400),
        (opening("/", "Content-Length: 3") + b"abc", 400),
    ],
)
async def test_a_wrong_handshake_is_refused_without_the_application(http, request_bytes, status):
    async def app(scope, receive, send):
        raise AssertionError("never called")

    async with talking(app, http=http) as connection:
        await connection.send(request_bytes)
        response = await connection.response()
        assert response.status == status
        assert b"close" in response.headers_named(b"connection")
        if status == 426:
            assert response.header(b"sec-websocket-version") == b"13"
            assert response.header(b"upgrade") == b"websocket"
        assert await connection.closed()


@pytest.mark.parametrize(
    "request_bytes",
    [
        opening("/path").replace(b"GET", b"POST"),
        opening("/path").replace(b"HTTP/1.1", b"HTTP/1.0"),
        opening("/path").replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        opening("/path").replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    ],
)
async def test_what_asks_for_no_websocket_is_an_ordinary_request(http, request_bytes):
    async with talking(SocketProbe(echo), http=http) as connection:
        await connection.send(request_bytes)
        response = await connection.response()
        assert (response.status, response.body) == (200, b"/path")


async def test_without_websockets_the_upgrade_is_ignored(http):
    probe = SocketProbe(echo)
    async with talking(probe, http=http, ws="none") as connection:
        await connection.send(opening("/path") + get("/next"))
        assert (await connection.response()).body == b"/path"
        assert (await connection.response()).body == b"/next"
    assert [scope["type"] for scope in probe.scopes] == ["http", "http"]


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        (["Origin: https://good.example"], True),
        (["Origin: HTTPS://GOOD.example"], True),
        (["Origin: http://localhost:3000"], True),
        ([], True),
        (["Origin: https://bad.example"], False),
        (["Origin: https://good.example:8443"], False),
        (["Origin: http://good.example"], False),
        (["Origin: https://good.example.bad.example"], False),
        (["Origin: null"], False),
        (["Origin: https://good.example", "Origin: https://bad.example"], False),
    ],
)
async def test_only_pages_of_allowed_origins_may_connect(http, lines, allowed):
    origins = ("https://good.example", "http://localhost:3000")
    async with talking(echo, http=http, ws_allow_origin=origins) as connection:
        await connection.send(opening("/", *lines))
        response = await connection.head()
        assert response.status == (101 if allowed else 403)


async def test_every_origin_may_connect_where_none_is_named(http):
    async with open_socket(echo, opening("/", "Origin: https://any.example"), http=http):
        pass


async def test_a_busy_worker_refuses_websockets_too(http):
    async with (
        running(echo, http=http, lifespan="off", limit_concurrency=1) as server,
        await server.connect() as first,
        await server.connect() as second,
    ):
        peer = await WebSocketPeer.over(first)
        await second.send(opening())
        response = await second.response()
        assert (response.status, response.header(b"retry-after")) == (503, b"1")
        await peer.leave()


# -- time, and clients that leave


async def test_an_application_that_does_not_answer_in_time_is_503(http):
    async def app(scope, receive, send):
        messages = [await receive(), await receive()]
        return messages, await raised_by(send, {"type": "websocket.accept"})

    probe = SocketProbe(app)
    async with talking(probe, http=http, timeout_ws_handshake=0.1) as connection:
        await connection.send(opening())
        response = await connection.response()
        assert response.status == 503
        assert await connection.closed()
        messages, error = await probe.end()
        assert messages == [{"type": "websocket.connect"}, GONE]
        assert isinstance(error, ClientDisconnected)


async def test_the_header_timeout_is_not_the_applications(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        await gate.wait()
        await echo(scope, receive, send)

    short = {"timeout_header": 0.1, "timeout_keep_alive": 0.1, "timeout_ws_handshake": 0}
    async with (
        running(app, http=http, lifespan="off", **short) as server,
        await server.connect() as waiting,
        await server.connect() as idle,
    ):
        await waiting.send(opening())
        await idle.send(get())
        await idle.response()
        assert await idle.closed()  # so its timeout, later than that of the other, is over
        gate.set()
        await (await WebSocketPeer.over(waiting, b"")).leave()


@pytest.mark.parametrize("way", ["reset", "half_close"])
async def test_a_client_that_leaves_before_accept_is_told_to_the_application(http, way, caplog):
    async def app(scope, receive, send):
        assert await receive() == {"type": "websocket.connect"}
        begun.set()
        message = await disconnected(receive)
        error = await raised_by(send, {"type": "websocket.accept"})
        assert await receive() == message
        assert isinstance(error, ClientDisconnected)
        assert isinstance(error, OSError)
        await send({"type": "websocket.close"})

    begun = asyncio.Event()
    probe = SocketProbe(app)
    async with running(probe, http=http, lifespan="off") as server:
        connection = await server.connect()
        await connection.send(opening())
        await within(begun.wait())
        getattr(connection, way)()
        assert isinstance(await probe.end(), ClientDisconnected)
        if way == "half_close":
            assert await connection.closed()
        connection.writer.close()
    assert caplog.records == []


async def test_a_client_that_half_closes_behind_its_handshake_is_let_go(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await gate.wait()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"first"})
            return None
        await accept(receive, send)
        return await disconnected(receive)

    ended = asyncio.Queue()

    async def both(scope, receive, send):
        ended.put_nowait(await app(scope, receive, send))

    async with talking(both, http=http) as connection:
        await connection.send(get() + opening())
        connection.half_close()
        gate.set()
        assert (await connection.response()).body == b"first"
        await connection.rest()
        assert [await within(ended.get()), await within(ended.get())] == [None, GONE]
