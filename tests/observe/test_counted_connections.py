"""Connections of every kind are counted the same."""

from __future__ import annotations

import pytest

from katana_asgi.testing import running

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


async def hello(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"he", "more_body": True})
    await send({"type": "http.response.body", "body": b"llo"})


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({}, b""),
        ({"limit_keep_alive_requests": 9}, b""),
        ({"proxy_protocol": True}, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
    ],
    ids=["plain", "counted", "proxied"],
)
async def test_every_kind_of_connection_is_counted(settings, first: bytes) -> None:
    settings = {"lifespan": "off", "statsd": "127.0.0.1:9", **settings}
    async with running(hello, **settings) as server:
        async with await server.connect() as connection:
            await connection.send(first + GET)
            assert (await connection.response()).body == b"hello"
            await connection.send(GET)
            await connection.response()
            await connection.send(b"nonsense\r\n\r\n")
            assert (await connection.response()).status == 400
        metrics = server.server.metrics
        assert metrics is not None
        assert metrics.statuses == {("GET", 200): 2, ("other", 400): 1}
        assert metrics.rejections == {"malformed": 1}
        assert metrics.received == server.server.requests == 2
        assert metrics.streamed.count == metrics.streamed_first.count == 2
        assert metrics.bytes_out == 10


async def tell(scope, receive, send) -> None:
    """Answer with the client's address and what a PROXY header said."""
    told = f"{scope['client'][0]} {scope['extensions'].get('proxy_protocol')}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


@pytest.mark.parametrize("metrics", [{}, {"statsd": "127.0.0.1:9"}], ids=["uncounted", "counted"])
async def test_metrics_change_neither_the_limit_of_requests_nor_the_header(metrics) -> None:
    settings = {"lifespan": "off", "proxy_protocol": True, "limit_keep_alive_requests": 2}
    async with running(tell, **settings, **metrics) as server:
        async with await server.connect() as connection:
            await connection.send(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + GET)
            response = await connection.response()
            assert response.body == b"10.0.0.1 {'version': 1, 'tlvs': ()}"
            assert response.header(b"connection") is None
            await connection.send(GET)
            assert (await connection.response()).header(b"connection") == b"close"
            assert await connection.closed()


@pytest.mark.parametrize("metrics", [{}, {"statsd": "127.0.0.1:9"}], ids=["uncounted", "counted"])
async def test_without_a_header_the_scope_says_nothing_of_one(metrics) -> None:
    settings = {"lifespan": "off", "proxy_protocol": True, "forwarded_allow_ips": ("10.0.0.9",)}
    async with running(tell, **settings, **metrics) as server:
        assert (await server.exchange(GET)).body == b"127.0.0.1 None"


async def test_broken_content_of_a_request_that_was_answered_is_not_counted_as_another() -> None:
    async with running(hello, lifespan="off", statsd="127.0.0.1:9") as server:
        async with await server.connect() as connection:
            await connection.send(
                b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            await connection.response()
            await connection.send(b"zz\r\n")
            assert await connection.closed()
        metrics = server.server.metrics
        assert metrics is not None
        assert metrics.statuses == {("POST", 200): 1}
        assert metrics.rejections == {}


async def test_responses_in_one_piece_are_counted_with_their_content() -> None:
    async def whole(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"gone"})

    async with running(whole, lifespan="off", statsd="127.0.0.1:9") as server:
        async with await server.connect() as connection:
            await connection.send(GET + GET, GET.replace(b"GET", b"BREW"))
            for _ in range(3):
                assert (await connection.response()).body == b"gone"
        metrics = server.server.metrics
        assert metrics is not None
        assert metrics.statuses == {("GET", 404): 2, ("other", 404): 1}
        assert metrics.whole.count == 3
        assert metrics.whole.total > 0
        assert metrics.bytes_out == 12
