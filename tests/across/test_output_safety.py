"""What clients and applications send stays in its place: in responses and in log lines."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.applications import get, respond

MARK = b"Zq7Zq7"

NASTY = [
    b"\x1b[31m",
    b'"',
    b"\\",
    b"\\x0a",
    b"%0a",
    b"%1b[2J",
    b"'",
    b"\xff",
    b"\xc2\x85",
    b"%s{0}",
]

LINE = re.compile(
    r'127\.0\.0\.1:[0-9]+ - "(\S+ \S+ HTTP/[0-9]\.[0-9]|-)" [0-9]{3} [A-Za-z \'-]*'
    r"(?: \([A-Za-z0-9 -]+\))?"
)


class Lines(logging.Handler):
    """The lines of a log as a handler of a user's gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines():
    """The access log."""
    handler = Lines()
    logger = logging.getLogger("katana_asgi.access")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


async def app(scope, receive, send):
    await respond(send, b"ok")


def targets() -> list[bytes]:
    """Request targets with every byte, and with what a terminal or a parser of logs may obey."""
    single = [b"/a" + bytes([byte]) + b"b" for byte in range(256)]
    return [*single, *[b"/" + each + MARK for each in NASTY], b"/?" + MARK + b'" 200 OK\\']


async def test_whatever_a_client_asks_for_is_one_line_of_plain_text(http, lines):
    requests = [get().replace(b"/ ", target + b" ", 1) for target in targets()]
    requests += [get().replace(b"GET", bytes([byte]) + b"GET", 1) for byte in range(256)]
    routes = (StaticRoute(path="/ab", body="x"),)
    async with running(app, http=http, access_log=True, static_route=routes) as server:
        for request in requests:
            async with await server.connect() as client:
                await client.send(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                assert (await client.rest()).startswith(b"HTTP/1.1 ")
    assert len(lines) == len(requests)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert LINE.fullmatch(line), line


BROKEN = [
    b"GET /%b  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"%b / HTTP/1.1\r\n\r\n",
    b"GET /%b HTTP/3.3\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: %b@\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n%b : b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b, chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: %b\r\n\r\n",
    b"CONNECT %b:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: %b\r\n\r\n",
]


async def consume(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0)
    await respond(send, b"ok")


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("nasty", [b"", b"\x1b[31m", b"<script>", b'"', b"\xff"])
async def test_no_refusal_repeats_a_byte_of_what_it_refuses(http, broken, nasty, lines):
    async with running(consume, http=http, lifespan="off", access_log=True) as server:
        async with await server.connect() as client:
            await client.send(broken % (MARK + nasty))
            answer = await client.rest()
    assert re.match(rb"HTTP/1\.1 (?:4|5)\d\d ", answer)
    assert answer.count(b"HTTP/1.1") == 1
    assert MARK not in answer
    assert not nasty or nasty not in answer.replace(b'"', b"" if nasty == b'"' else b'"')
    assert re.fullmatch(rb"[\r\n -~]+", answer)
    assert all(line.isascii() and line.isprintable() for line in lines)


CONTROLS = [*range(0x20), 0x7F]


@pytest.mark.parametrize(
    ("place", "byte"),
    [
        *[("name", byte) for byte in CONTROLS],
        *[("value", byte) for byte in CONTROLS if byte != 0x09],  # RFC 9110 §5.5: HTAB may be
    ],
)
async def test_no_control_byte_of_an_application_reaches_a_head(http, byte, place):
    injected = b"x" + bytes([byte]) + b"set-cookie: stolen=1"
    pair = (injected, b"v") if place == "name" else (b"x-name", injected)

    async def inject(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [pair]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with running(inject, http=http, lifespan="off") as server:
        for _ in range(2):  # the second time from whatever is remembered
            answer = await server.exchange(get())
            assert answer.status == 500
            assert answer.header(b"set-cookie") is None
            assert b"stolen" not in answer.head


@pytest.mark.parametrize("name", [b"", b" x", b"x ", b"x:", b"x\xff", b"x(y)", b'"x"', b"x/y"])
async def test_a_name_that_is_no_token_reaches_no_head(http, name):
    async def inject(scope, receive, send):
        await respond(send, b"ok", headers=[(name, MARK)])

    async with running(inject, http=http, lifespan="off") as server:
        answer = await server.exchange(get())
        assert answer.status == 500
        assert MARK not in answer.head
