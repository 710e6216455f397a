"""The response cache and compression around an application, through a real server."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from tests.support import running, within

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
