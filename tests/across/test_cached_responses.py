"""The response cache and compression around an application, through a real server."""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.cache import invalidate
from katana_asgi.testing import running
from tests.support import within

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"the same words again and again, " * 100


class Application:
    """Counts its calls; the path says what it answers."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        self.calls += 1
        await self.gate.wait()
        private = scope["path"].startswith("/private")
        cache_control = b"private" if private else b"public, max-age=60"
        headers = [
            (b"content-type", b"text/plain"),
            (b"cache-control", cache_control),
            (b"etag", b'"1"'),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": TEXT})


async def test_a_hit_has_age_and_one_date_and_the_next_request_follows(http: str) -> None:
    application = Application()
    async with running(application, http=http, cache=2**20) as server:
        async with await server.connect() as client:
            answers = []
            for _ in range(3):
                await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
                answers.append(await client.response())
            await client.send(b'GET /a HTTP/1.1\r\nHost: x\r\nIf-None-Match: "1"\r\n\r\n')
            answers.append(await client.response())
            await client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
            answers.append(await client.response("HEAD"))
            await client.send(b"GET /private HTTP/1.1\r\nHost: x\r\n\r\n")
            answers.append(await client.response())
    assert application.calls == 2
    assert [answer.status for answer in answers] == [200, 200, 200, 304, 200, 200]
    assert [answer.body for answer in answers] == [TEXT, TEXT, TEXT, b"", b"", TEXT]
    assert [answer.header(b"age") for answer in answers[:2]] == [None, b"0"]
    assert len({answer.header(b"date") for answer in answers[1:4]}) == 1
    assert answers[4].header(b"content-length") == b"%d" % len(TEXT)


async def test_many_connections_miss_once(http: str) -> None:
    application = Application()
    application.gate.clear()
    async with running(application, http=http, cache=2**20) as server:
        requests = [
            asyncio.create_task(server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"))
            for _ in range(20)
        ]
        while not application.calls:
            await asyncio.sleep(0.01)
        application.gate.set()
        answers = await within(asyncio.gather(*requests))
    assert {answer.body for answer in answers} == {TEXT}
    assert application.calls == 1


@pytest.mark.parametrize("cache", [0, 2**20])
async def test_compressed_and_plain_variants_are_told_apart(http: str, cache: int) -> None:
    application = Application()
    async with running(application, http=http, cache=cache, compress=True) as server:
        for _ in range(2):
            coded = await server.exchange(
                b"GET /a HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
            )
            plain = await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert gzip.decompress(coded.body) == plain.body == TEXT
            assert (coded.header(b"content-encoding"), coded.header(b"etag")) == (
                b"gzip",
                b'W/"1"',
            )
            assert coded.header(b"vary") == plain.header(b"vary") == b"accept-encoding"
    assert application.calls == (2 if cache else 4)


async def test_without_settings_nothing_is_stored_or_compressed(http: str) -> None:
    application = Application()
    async with running(application, http=http) as server:
        for calls in (1, 2):
            answer = await server.exchange(
                b"GET /a HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
            )
            assert (answer.body, application.calls) == (TEXT, calls)
            assert answer.header(b"vary") is None


# -- hits before the application is called


class Calls:
    """Counts how often what stands around the application is called."""

    def __init__(self, server: Any) -> None:
        context = server.server.context
        self._application = context.application
        context.application = self
        self.count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.count += 1
        await self._application(scope, receive, send)


async def test_a_hit_needs_no_call(http: str) -> None:
    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    async with running(Application(), **settings) as server:
        calls = Calls(server)
        async with await server.connect() as client:
            for line in (b"GET /a", b"GET /a", b"HEAD /a", b"GET /a?b", b"GET /private"):
                head = line + b" HTTP/1.1\r\nHost: x\r\n\r\n"
                await client.send(head)
                await client.response(line.split()[0].decode())
            await client.send(b'GET /a HTTP/1.1\r\nHost: x\r\nIf-None-Match: "1"\r\n\r\n')
            assert (await client.response()).status == 304
    assert calls.count == 3
    assert server.server.requests == 6


async def test_the_same_read_again_does_not_outlive_what_is_stored(http: str) -> None:
    application = Application()
    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    async with running(application, **settings) as server, await server.connect() as client:
        for _ in range(3):
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.response()
        assert application.calls == 1
        invalidate("/a")
        await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.response()).header(b"age") is None
    assert application.calls == 2


async def test_what_a_trusted_proxy_says_is_part_of_the_key(http: str) -> None:
    application = Application()
    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    forwarded = b"X-Forwarded-Proto: https\r\n"
    async with running(application, **settings) as server, await server.connect() as client:
        for fields in (b"", b"", forwarded, forwarded, b""):
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
            assert (await client.response()).body == TEXT
    assert application.calls == 2


async def test_hits_are_not_held_back_and_have_the_id_of_their_own_request(http: str) -> None:
    application = Application()
    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    async with running(application, limit_concurrency=1, **settings) as server:
        await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        application.gate.clear()
        async with await server.connect() as waiting:
            await waiting.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            while application.calls < 2:
                await asyncio.sleep(0)
            hit = await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            other = await server.exchange(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
            application.gate.set()
            await waiting.response()
    assert (hit.status, other.status) == (200, 503)
    async with running(application, request_id="generate", **settings) as server:
        ids = [
            (await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")).header(b"x-request-id")
            for _ in range(3)
        ]
    assert len(set(ids)) == 3
    assert None not in ids


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the access log."""
    return [each.getMessage() for each in caplog.records if each.name == "katana_asgi.access"]


@pytest.mark.parametrize("request_id", ["off", "generate"], ids=["at once", "by a call"])
async def test_each_request_says_in_the_access_log_what_the_cache_did(
    http: str, caplog: pytest.LogCaptureFixture, request_id: str
) -> None:
    application = Application()
    settings = {
        "http": http,
        "lifespan": "off",
        "cache": 2**20,
        "request_id": request_id,
        "access_log": True,
        "access_log_format": "%(U)s %(cache)s %(B)s",
    }
    requests = [
        (b"GET /a", b"", f"/a miss {len(TEXT)}"),
        (b"GET /a", b"", f"/a hit {len(TEXT)}"),
        (b"GET /a", b'If-None-Match: "1"\r\n', "/a hit 0"),
        (b"GET /a", b"Range: bytes=1-2\r\n", "/a hit 2"),
        (b"HEAD /a", b"", "/a hit 0"),
        (b"GET /a", b"Cache-Control: no-cache\r\n", f"/a miss {len(TEXT)}"),
        (b"POST /b", b"Content-Length: 0\r\n", f"/b bypass {len(TEXT)}"),
        (b"GET /private", b"", f"/private miss {len(TEXT)}"),
        (b"GET /b", b"Cache-Control: only-if-cached\r\n", "/b miss 0"),
    ]
    with caplog.at_level("INFO", "katana_asgi.access"):
        async with running(application, **settings) as server, await server.connect() as client:
            for line, fields, _ in requests:
                await client.send(line + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
                await client.response(line.split()[0].decode())
    assert logged(caplog) == [line for _, _, line in requests]
    records = [each for each in caplog.records if each.name == "katana_asgi.access"]
    assert [getattr(each, "cache", "") for each in records] == [
        line.split()[1] for _, _, line in requests
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_compression_leaves_files_by_path_and_heads_alone(
    http: str, tmp_path: Path, method: str
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(TEXT)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(TEXT))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if method == "GET":
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            await send({"type": "http.response.body"})

    settings = {"http": http, "lifespan": "off", "compress": True}
    request = method.encode() + b" / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
    async with running(application, **settings) as server:
        response = await server.exchange(request, method=method)
    assert response.header(b"content-encoding") is None
    assert response.body == (TEXT if method == "GET" else b"")


async def test_compressed_content_has_its_trailers(http: str) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain")]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await send({**start, "trailers": True})
        await send({"type": "http.response.body", "body": TEXT})
        await send({"type": "http.response.trailers", "headers": [(b"x-a", b"1")]})

    settings = {"http": http, "lifespan": "off", "compress": True}
    fields = b"Host: x\r\nAccept-Encoding: gzip\r\nTE: trailers\r\n\r\n"
    async with running(application, **settings) as server, await server.connect() as client:
        await client.send(b"GET / HTTP/1.1\r\n" + fields)
        head = await client.head()
        content = await within(client.reader.readuntil(b"0\r\nx-a: 1\r\n\r\n"))
    assert head.header(b"content-encoding") == b"gzip"
    size, _, rest = content.partition(b"\r\n")
    assert gzip.decompress(rest[: int(size, 16)]) == TEXT


# -- what cannot get into a key


class Echo:
    """Says what it was asked for, and that everyone may have it."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        host = dict(scope["headers"]).get(b"host", b"")
        headers = [(b"cache-control", b"public, max-age=60")]
        body = b" ".join((host, scope["raw_path"], scope["query_string"], str(self.calls).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # absolute form: the authority of the target counts, not Host
        (b"GET http://a/x HTTP/1.1\r\nHost: b", b"GET /x HTTP/1.1\r\nHost: b", False),
        (b"GET http://a/x HTTP/1.1\r\nHost: a", b"GET /x HTTP/1.1\r\nHost: a", True),
        (b"GET http://A:80/x HTTP/1.1\r\nHost: a:80", b"GET /x HTTP/1.1\r\nHost: a", True),
        (b"GET /x HTTP/1.1\r\nHost: a", b"GET /x HTTP/1.1\r\nHost: b", False),
        (b"GET /x HTTP/1.1\r\nHost: a", b"GET /x HTTP/1.0\r\nHost: a", True),
        (b"GET /x HTTP/1.0", b"GET /x HTTP/1.1\r\nHost: a", False),
        (b"GET /x?a=1&b=2 HTTP/1.1\r\nHost: a", b"GET /x?b=2&a=1 HTTP/1.1\r\nHost: a", False),
        (b"GET /x%3Fa HTTP/1.1\r\nHost: a", b"GET /x?a HTTP/1.1\r\nHost: a", False),
        (b"GET /x/../y HTTP/1.1\r\nHost: a", b"GET /y HTTP/1.1\r\nHost: a", False),
        (b"GET /x HTTP/1.1\r\nHost: a/x", b"GET /x/x HTTP/1.1\r\nHost: a", False),
        (b"GET /x HTTP/1.1\r\nHost: u@a", b"GET /x HTTP/1.1\r\nHost: a", False),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b", b"GET /x HTTP/1.1\r\nHost: a", False),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n X: b", b"GET /x HTTP/1.1\r\nHost: a", False),
    ],
)
async def test_no_spelling_of_a_request_gets_the_answer_to_another(
    http: str, one: bytes, other: bytes, same: bool
) -> None:
    """Asked in both orders; a request that is refused is no question at all."""
    for first, second in ((one, other), (other, one)):
        application = Echo()
        async with running(application, http=http, lifespan="off", cache=2**20) as server:
            asked = await server.exchange(first + b"\r\n\r\n")
            answer = await server.exchange(second + b"\r\n\r\n")
        hit = answer.header(b"age") is not None
        assert hit is same
        if not same and asked.status == answer.status == 200:
            assert asked.body.split()[:-1] != answer.body.split()[:-1]


async def test_content_that_looks_like_a_request_is_stored_under_no_key(http: str) -> None:
    """A body that follows a GET is that of the GET, whatever is in it."""
    application = Echo()
    inner = b"GET /poisoned HTTP/1.1\r\nHost: a\r\n\r\n"
    outer = b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(inner)
    async with running(application, http=http, lifespan="off", cache=2**20) as server:
        async with await server.connect() as client:
            for _ in range(2):
                await client.send(outer + inner)
                await client.response()
            await client.send(b"GET /poisoned HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).header(b"age") is None
            await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).header(b"age") is None
    assert application.calls == 4


async def test_a_stored_response_is_right_for_http_1_0(http: str) -> None:
    """Its length is known, and the connection ends unless it was asked to stay."""
    async with running(Echo(), http=http, lifespan="off", cache=2**20) as server:
        await server.exchange(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        async with await server.connect() as client:
            await client.send(b"GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            kept = await client.response()
            await client.send(b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n")
            last = await client.response()
            assert await client.closed()
    assert kept.header(b"connection") == b"keep-alive"
    assert last.header(b"transfer-encoding") is None
    assert kept.body == last.body == b"a /x  1"


INVALID = [
    (b"x", b"a\r\nset-cookie: evil=1"),
    (b"x\r\ny", b"a"),
    (b"x", b"a\0b"),
    (b"x y", b"a"),
    ("x", "text"),
    (b"content-length", b"nine"),
]


@pytest.mark.parametrize("field", INVALID, ids=repr)
@pytest.mark.parametrize("left", [False, True], ids=["refresh", "client left"])
async def test_what_a_server_would_not_send_is_not_stored_where_it_sends_nothing(
    http: str, field: Any, left: bool
) -> None:
    """A refresh in the background has no client, and a client may have gone."""
    calls = 0
    began, go = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        bad = calls == (1 if left else 2)
        if bad:
            began.set()
            await go.wait()
        cache_control = b"public, max-age=10, stale-while-revalidate=600"
        headers: list[Any] = [(b"cache-control", cache_control)]
        headers.append(field if bad else (b"x", b"good"))
        if calls == 1 and not left:
            headers.append((b"age", b"9"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    async with running(application, **settings) as server:
        cache = server.server.context.routes.cache  # type: ignore[union-attr]
        if left:
            async with await server.connect() as client:
                await client.send(request)
                await within(began.wait())
            await asyncio.sleep(0.05)
        else:
            await server.exchange(request)
            cache.monotonic = lambda: time.monotonic() + 2
            await server.exchange(request)
            await within(began.wait())
        go.set()
        await asyncio.sleep(0.05)
        for _ in range(2):
            answer = await server.exchange(request)
            assert answer.header(b"set-cookie") is None
            assert answer.headers.count((b"x", b"good")) == 1
            assert answer.body == b"ok"


@pytest.mark.parametrize("refreshed", [False, True])
@pytest.mark.parametrize("length", [False, True])
async def test_a_status_without_content_is_stored_without(
    http: str, refreshed: bool, length: bool
) -> None:
    """What an application sends with it all the same would be taken for the next response."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    calls = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        headers = [(b"cache-control", b"public, max-age=10, stale-while-revalidate=600")]
        if length:
            headers.append((b"content-length", b"%d" % len(smuggled)))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        body = b"" if refreshed and calls == 1 else smuggled
        await send({"type": "http.response.body", "body": body})

    settings = {"http": http, "lifespan": "off", "cache": 2**20}
    request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running(application, **settings) as server:
        cache = server.server.context.routes.cache  # type: ignore[union-attr]
        if refreshed:
            await server.exchange(request)
            cache.monotonic = lambda: time.monotonic() + 11
            await server.exchange(request)
            while calls < 2:
                await asyncio.sleep(0)
        async with await server.connect() as client:
            await client.send(request * 3)
            heads = [await client.head() for _ in range(3)]
            await client.send(b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"evil" not in await client.rest()
    assert [head.status for head in heads] == [204] * 3
