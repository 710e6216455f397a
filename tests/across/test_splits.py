"""The same bytes get the same answers, however they are cut into segments."""

from __future__ import annotations

import asyncio
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.amounts import examples
from tests.applications import respond
from tests.support import TIMEOUT

ROUTES = (StaticRoute(path="/static", body=b"static"),)

REQUESTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /static HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /static HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /static HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET /x HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n1;x\r\nd\r\n0\r\nX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HT",
    ]
)
LAST = st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"\r\n"])
STREAMS = st.tuples(st.lists(REQUESTS, min_size=1, max_size=4).map(b"".join), LAST).map(b"".join)
CUTS = st.one_of(st.none(), st.lists(st.integers(1, 60), min_size=1, max_size=12))


def cut(stream: bytes, sizes: list[int] | None) -> list[bytes]:
    """The stream in pieces of these sizes; ``None``: byte by byte."""
    pieces = []
    for size in [1] * len(stream) if sizes is None else sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [piece for piece in (*pieces, stream) if piece]


async def app(scope, receive, send):
    """Answers with path and content, ``/later`` after some turns of the loop."""
    body, more = scope["path"].encode(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    if scope["path"] == "/later":
        for _ in range(5):
            await asyncio.sleep(0)
    await respond(send, body)


async def answers(server, pieces: list[bytes]) -> bytes:
    """What comes back, of a refusal its status: with several faults any may be named.

    The client ends its side behind the last piece.
    """
    async with await server.connect() as client:
        await client.send(*pieces)
        client.half_close()
        found = await client.rest()
    refused = re.search(rb"HTTP/1\.1 [45][0-9]{2}", found)
    return found[: refused.end()] if refused else found


async def test_the_answers_do_not_depend_on_the_segments(http):
    settings_ = {"date_header": False, "lifespan": "off", "static_route": ROUTES}
    async with running(app, http=http, **settings_) as server:
        loop = asyncio.get_running_loop()

        @given(stream=STREAMS, sizes=CUTS)
        @settings(
            max_examples=examples(100),
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        def check(stream: bytes, sizes: list[int] | None) -> None:
            async def both() -> tuple[bytes, bytes]:
                return await answers(server, [stream]), await answers(server, cut(stream, sizes))

            in_one, in_pieces = asyncio.run_coroutine_threadsafe(both(), loop).result(3 * TIMEOUT)
            assert in_pieces == in_one

        # Hypothesis is no coroutine: its examples come from a thread.
        await asyncio.to_thread(check)
