"""What an application sees of HTTP/2, and what a client gets, over real sockets on both loops."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import HttpPeer, running
from tests.http2.client import Client
from tests.support import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


NO_ERROR, INTERNAL_ERROR, CANCEL = 0, 2, 8


@asynccontextmanager
async def speaking(
    app: Any, certified: Any = None, options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """A client's connection to a server of its own; over TLS where there is a certificate."""
    tls = certified.settings if certified is not None else {}
    async with running(app, lifespan="off", **tls, **settings) as server:
        trust = certified.client() if certified is not None else None
        async with await Client.open(server.host, server.port, trust, **(options or {})) as client:
            yield client


@pytest.fixture(params=["plain", "tls"])
def maybe_tls(request: pytest.FixtureRequest, certified: Any) -> Any:
    """Without and with TLS."""
    return certified if request.param == "tls" else None


async def echo(scope, receive, send):
    """Answer with the scope and the content."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    seen = {key: value for key, value in scope.items() if key not in ("state", "extensions")}
    seen["headers"] = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    seen["raw_path"] = scope["raw_path"].decode()
    seen["query_string"] = scope["query_string"].decode()
    seen["extensions"] = sorted(scope["extensions"])
    content = json.dumps(seen).encode() + b"\n" + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"b")]})
    await send({"type": "http.response.body", "body": content})


def seen(content: bytes) -> dict[str, Any]:
    return json.loads(content.partition(b"\n")[0])


# -- what the application sees


async def test_a_scope_is_that_of_asgi(maybe_tls):
    async with speaking(echo, maybe_tls) as client:
        stream = await client.get("/a%20b?c=d", ("accept", "*/*"), ("cookie", "a=1"))
        assert stream.status == 200
        assert stream.fields[b"x-a"] == b"b"
        assert stream.fields[b"server"] == b"katana-asgi"
        assert b"date" in stream.fields
        assert int(stream.fields[b"content-length"]) == len(stream.content)
        scope = seen(stream.content)
    assert scope["type"] == "http"
    assert scope["http_version"] == "2"
    assert scope["method"] == "GET"
    assert scope["scheme"] == ("http" if maybe_tls is None else "https")
    assert scope["path"] == "/a b"
    assert scope["raw_path"] == "/a%20b"
    assert scope["query_string"] == "c=d"
    assert scope["headers"] == [["host", "a.example"], ["accept", "*/*"], ["cookie", "a=1"]]
    assert scope["client"][0] == "127.0.0.1"
    assert ("tls" in scope["extensions"]) is (maybe_tls is not None)


async def test_content_reaches_the_application_whole(maybe_tls):
    content = bytes(range(256)) * 8192
    async with speaking(echo, maybe_tls) as client:
        streams = await asyncio.gather(*[client.post("/", content) for _ in range(3)])
        for stream in streams:
            assert stream.content.partition(b"\n")[2] == content


async def test_many_requests_share_a_connection(maybe_tls):
    async with speaking(echo, maybe_tls) as client:
        streams = [client.begin(f"/{number}") for number in range(100)]
        for number, stream in enumerate(streams):
            await client.finish(stream)
            assert seen(stream.content)["path"] == f"/{number}"
        assert not client.goaways


async def test_content_may_come_in_any_pieces():
    async def sizes(scope, receive, send):
        found = []
        while True:
            message = await receive()
            found.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % sum(found)})

    async with speaking(sizes) as client:
        stream = client.begin("/", method="POST", end=False)
        for size in (1, 1000, 20_000):
            await client.upload(stream, bytes(size), end=False)
        await client.upload(stream, b"", end=True)
        await client.finish(stream)
        assert stream.content == b"21001"


async def test_100_is_sent_when_the_application_asks_for_content():
    asked = asyncio.Event()

    async def app(scope, receive, send):
        await asked.wait()
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    async with speaking(app) as client:
        stream = client.begin("/", ("expect", "100-continue"), method="POST", end=False)
        client.h2.ping(b"12345678")
        client.flush()
        assert not stream.informational
        asked.set()
        await client.until(lambda: stream.informational)
        assert stream.informational == [(100, {})]
        await client.upload(stream, b"content")
        await client.finish(stream)
        assert (stream.status, stream.content) == (200, b"content")


async def test_responses_without_content_have_none():
    async def app(scope, receive, send):
        status = int(scope["path"][1:])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"content"})

    async with speaking(app) as client:
        for status in (204, 304):
            stream = await client.get(f"/{status}")
            assert (stream.status, stream.content) == (status, b"")
        stream = await client.get("/200", method="HEAD")
        assert (stream.content, stream.fields[b"content-length"]) == (b"", b"7")


async def test_connection_specific_fields_of_an_application_are_dropped():
    async def app(scope, receive, send):
        headers = [
            (b"Connection", b"close"),
            (b"Keep-Alive", b"timeout=5"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Upgrade", b"h2c"),
            (b"Proxy-Connection", b"x"),
            (b"X-Kept", b"yes"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    async with speaking(app) as client:
        stream = await client.get()  # a strict client: any of them would be an error
        assert stream.fields[b"x-kept"] == b"yes"
        assert stream.fields.keys() == {b"x-kept", b"content-length", b"date", b"server"}


# -- how responses end


async def test_an_early_response_lets_the_upload_end():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"enough"})

    async with speaking(app) as client:
        stream = client.begin("/", method="POST", end=False)
        await client.until(lambda: stream.ended)
        await client.upload(stream, bytes(1 << 20))
        assert (stream.content, stream.reset) == (b"enough", None)
        assert (await client.get()).content == b"enough"


async def test_a_reset_reaches_receive_and_send():
    heard = []
    running_now = asyncio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        running_now.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.append("receive")
        try:
            await send({"type": "http.response.body", "body": b"y", "more_body": True})
        except OSError:
            heard.append("send")
        running_now.clear()

    async with speaking(app, disconnect="raise") as client:
        stream = client.begin()
        await within(running_now.wait())
        client.reset(stream)
        for _ in range(100):
            if not running_now.is_set():
                break
            await asyncio.sleep(0.01)
        assert heard == ["receive", "send"]
        assert not client.goaways


async def test_an_application_that_sends_without_end_is_ended_by_a_reset():
    ended = asyncio.Event()

    async def app(scope, receive, send):
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": bytes(16384), "more_body": True})
        finally:
            ended.set()

    async with speaking(app, disconnect="raise") as client:
        stream = client.begin()
        await client.until(lambda: len(stream.content) > 500_000)
        client.reset(stream)
        await within(ended.wait())


@pytest.mark.parametrize("begun", [False, True])
async def test_a_fault_of_the_application_ends_its_stream_only(begun):
    async def app(scope, receive, send):
        if scope["path"] == "/well":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"well"})
            return
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise RuntimeError("broken")

    async with speaking(app) as client:
        stream = await client.get()
        if begun:
            assert (stream.status, stream.ended, stream.reset) == (200, False, INTERNAL_ERROR)
        else:
            assert (stream.status, stream.ended, stream.reset) == (500, True, None)
        assert (await client.get("/well")).content == b"well"


async def test_a_response_shorter_than_announced_is_broken_off():
    async def app(scope, receive, send):
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"short", "more_body": True})

    async with speaking(app) as client:
        stream = await client.get()
        assert (stream.content, stream.ended, stream.reset) == (b"short", False, INTERNAL_ERROR)


async def test_one_application_that_does_not_read_holds_up_no_other():
    release = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/stuck":
            await release.wait()
        await echo(scope, receive, send)

    async with speaking(app) as client:
        stuck = [client.begin("/stuck", method="POST", end=False) for _ in range(20)]
        for stream in stuck:
            await client.upload(stream, bytes(65_535), end=False)
        content = bytes(3_000_000)
        assert (await client.post("/", content)).content.partition(b"\n")[2] == content
        release.set()
        for stream in stuck:
            await client.upload(stream, b"rest")
            await client.finish(stream)
            assert stream.content.endswith(b"rest")


async def test_a_client_that_takes_nothing_makes_its_application_wait():
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(16384), "more_body": True})
            sent += 16384

    async with speaking(app, options={"acknowledges": False}) as client:
        streams = [client.begin() for _ in range(20)]
        total = 65_535
        await client.until(lambda: sum(len(stream.content) for stream in streams) == total)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 2 * 1024 * 1024
        for stream in streams:
            client.reset(stream)


# -- what is the same as over HTTP/1.1


async def test_static_routes_answer(maybe_tls):
    routes = (
        StaticRoute(path="/static", body="cached", headers=(("x-r", "1"),)),
        StaticRoute(path="/ready", body="ok", ready=True),
    )
    async with speaking(echo, maybe_tls, static_route=routes) as client:
        stream = await client.get("/static")
        assert (stream.status, stream.content) == (200, b"cached")
        assert stream.fields[b"content-length"] == b"6"
        assert stream.fields[b"x-r"] == b"1"
        assert {b"date", b"server", b"etag"} <= stream.fields.keys()
        tag = stream.fields[b"etag"].decode()
        assert (await client.get("/static", ("if-none-match", tag))).status == 304
        head = await client.get("/static", method="HEAD")
        assert (head.content, head.fields[b"content-length"]) == (b"", b"6")
        assert (await client.get("/other")).fields[b"x-a"] == b"b"
        assert (await client.get("/ready")).content == b"ok"


async def test_forwarding_fields_of_trusted_proxies_are_believed():
    settings = {"proxy_headers": True, "forwarded_allow_ips": ("127.0.0.1",)}
    async with speaking(echo, **settings) as client:
        further = [
            ("x-forwarded-for", "192.0.2.60"),
            ("x-forwarded-proto", "https"),
        ]
        scope = seen((await client.get("/", *further)).content)
        assert scope["client"][0] == "192.0.2.60"
        assert scope["scheme"] == "https"
        assert scope["headers"][0] == ["host", "a.example"]


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_header_may_come_first(tls, certified):
    settings = {"proxy_protocol": True, "forwarded_allow_ips": ("127.0.0.1",)}
    header = b"PROXY TCP4 192.0.2.60 198.51.100.1 4711 443\r\n"
    if not tls:
        async with speaking(echo, options={"before": header}, **settings) as client:
            scope = seen((await client.get()).content)
            assert scope["client"] == ["192.0.2.60", 4711]
        return
    async with running(echo, lifespan="off", **settings, **certified.settings) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(header)
        trust = certified.client()
        trust.set_alpn_protocols(["h2"])
        await writer.start_tls(trust, server_hostname="localhost")
        async with Client(reader, writer) as client:
            scope = seen((await client.get()).content)
            assert scope["client"] == ["192.0.2.60", 4711]
            assert scope["scheme"] == "https"


async def test_a_unix_socket_serves(tmp_path):
    path = str(tmp_path / "sock")
    async with running(echo, lifespan="off", uds=path):
        async with await Client.open_unix(path) as client:
            scope = seen((await client.get()).content)
            assert scope["client"] is None
            assert scope["server"] == [path, None]


async def test_content_above_the_limit_is_refused():
    async with speaking(echo, limit_body_size=1000) as client:
        stream = await client.get("/", ("content-length", "1001"), method="POST", end=False)
        assert stream.status == 413
        stream = client.begin("/", method="POST", end=False)
        await client.upload(stream, bytes(999), end=False)
        await client.upload(stream, bytes(2), end=False)
        await client.finish(stream)
        assert (stream.status, stream.content) == (413, b"content too large\n")
        assert (await client.post("/", bytes(1000))).status == 200


async def test_more_calls_than_allowed_are_refused():
    release = asyncio.Event()

    async def app(scope, receive, send):
        await release.wait()
        await echo(scope, receive, send)

    async with speaking(app, limit_concurrency=2) as client:
        first = [client.begin() for _ in range(2)]
        third = await client.get()
        assert (third.status, third.fields[b"retry-after"]) == (503, b"1")
        release.set()
        for stream in first:
            assert (await client.finish(stream)).status == 200


async def test_after_its_last_request_a_connection_says_goodbye():
    async with speaking(echo, limit_keep_alive_requests=3) as client:
        for _ in range(3):
            assert (await client.get()).status == 200
        await client.until(lambda: client.closed)
        assert [last for last, _ in client.goaways] == [2**31 - 1, 5]


async def test_a_client_above_its_number_of_connections_is_told():
    async with running(
        echo, lifespan="off", limit_connections_per_client=1, forwarded_allow_ips=()
    ) as server:
        async with await Client.open(server.host, server.port) as first:
            assert (await first.get()).status == 200
            reader, writer = await asyncio.open_connection(server.host, server.port)
            assert (await within(reader.read())).startswith(b"HTTP/1.1 503 ")
            writer.close()


async def test_slow_content_is_refused_with_408():
    async with speaking(echo, timeout_body=0.2) as client:
        stream = client.begin("/", method="POST", end=False)
        await client.upload(stream, b"x", end=False)
        await client.until(lambda: stream.reset is not None)
        assert (stream.status, stream.ended, stream.reset) == (408, True, NO_ERROR)
        assert (await client.get()).status == 200


async def test_idle_connections_end_with_a_goaway():
    async with speaking(echo, timeout_keep_alive=0.2) as client:
        assert (await client.get()).status == 200
        await client.until(lambda: client.closed)
        assert client.goaways == [(1, NO_ERROR)]


# -- where it is spoken


async def test_prior_knowledge_can_be_cut_anywhere():
    async with running(echo, lifespan="off") as server:
        for cut in range(1, 34):
            async with await Client.open(server.host, server.port, cut=cut) as client:
                await client.until(lambda: client.acknowledged)
                assert (await client.get()).status == 200


@pytest.mark.parametrize("http2", ["tls", "off"])
async def test_without_prior_knowledge_it_is_refused_as_before(http2):
    async with running(echo, lifespan="off", http2=http2) as server:
        async with await server.connect() as client:
            await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            response = await client.response()
            assert response.status in (400, 505)


async def test_a_preface_behind_a_request_is_refused():
    async with running(echo, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).status == 200
            await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await client.response()).status in (400, 505)


async def test_an_upgrade_to_h2c_is_ignored_and_its_content_delivered():
    async with running(echo, lifespan="off") as server:
        response = await server.exchange(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
            b"Content-Length: 7\r\n\r\ncontent"
        )
        assert response.status == 200
        assert response.body.partition(b"\n")[2] == b"content"


async def test_http_1_1_where_http_2_was_agreed_on_ends(certified):
    async with running(echo, lifespan="off", **certified.settings) as server:
        trust = certified.client()
        trust.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(
            server.host, server.port, ssl=trust, server_hostname="localhost"
        )
        async with HttpPeer(reader, writer) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            data = await client.rest()
            assert data[3:4] == b"\x04"  # SETTINGS
            assert data[-24:].endswith(b"HTTP/2")


# -- the end


async def test_a_server_that_stops_finishes_what_runs(maybe_tls):
    release = asyncio.Event()

    async def app(scope, receive, send):
        await release.wait()
        await echo(scope, receive, send)

    tls = maybe_tls.settings if maybe_tls is not None else {}
    trust = maybe_tls.client() if maybe_tls is not None else None
    async with running(app, lifespan="off", timeout_graceful_shutdown=10, **tls) as server:
        async with await Client.open(server.host, server.port, trust) as client:
            stream = client.begin()
            await client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 128)
            stopping = asyncio.create_task(server.server.close())
            await client.until(lambda: len(client.goaways) == 2)
            assert [last for last, _ in client.goaways] == [2**31 - 1, 1]
            release.set()
            assert (await client.finish(stream)).status == 200
            await within(stopping)
            await client.until(lambda: client.closed)
