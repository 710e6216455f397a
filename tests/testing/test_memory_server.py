"""A whole server in memory: a framework's application, lifespan, failing writes, WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from katana_asgi.testing import MemoryServer, MemoryTransport, masked, opening

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


class Site:
    """An application of Starlette; counts what it has seen."""

    def __init__(self) -> None:
        self.started = self.stopped = self.left = 0
        routes = [
            Route("/", self.hello),
            Route("/threaded", lambda _: JSONResponse({"hello": "thread"})),
            Route("/stream", self.stream),
            WebSocketRoute("/socket", self.socket),
        ]
        self.app = Starlette(routes=routes, lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, app):
        self.started += 1
        yield
        self.stopped += 1

    async def hello(self, request):
        return JSONResponse({"hello": "world"})

    async def stream(self, request):
        async def pieces():
            try:
                while True:
                    yield b"piece" * 2000
                    await asyncio.sleep(0)
            finally:
                self.left += 1

        return StreamingResponse(pieces())

    async def socket(self, websocket):
        await websocket.accept()
        await websocket.send_text(f"you said {await websocket.receive_text()}")
        await websocket.close()


@pytest.fixture
def site():
    return Site()


async def test_an_application_is_served_from_startup_to_shutdown(site):
    async with MemoryServer(site.app) as server:
        assert (site.started, site.stopped) == (1, 0)
        sent = await server.served(GET % b"/", GET % b"/nothing")
        assert server.server.requests == 2
        assert not server.server.addresses
    assert (site.started, site.stopped) == (1, 1)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'{"hello":"world"}HTTP/1.1 404 Not Found\r\n' in sent


async def test_a_response_of_a_thread_is_waited_for(site):
    async with MemoryServer(site.app, lifespan="off") as server:
        transport = server.connect()
        transport.feed(GET % b"/threaded")
        assert (await transport.until(b"}")).endswith(b'{"hello":"thread"}')
        transport.feed(b"nonsense\r\n\r\n")
        assert b"HTTP/1.1 400 " in await transport.until(b"HTTP/1.1 400 ")
        transport.fail()
        assert b"HTTP/1.1 400 " in await transport.until(b"what does not come")


async def test_how_a_request_is_cut_does_not_matter(site):
    settings = {"date_header": False, "lifespan": "off"}
    async with MemoryServer(site.app, **settings) as server:
        whole = await server.served(GET % b"/")
        transport = server.connect()
        transport.feed(GET % b"/", 1)
        assert await transport.settled() == whole
        transport.abort()


@pytest.mark.parametrize("number", [1, 2, 5])
async def test_a_stream_ends_where_a_write_fails(site, number):
    async with MemoryServer(site.app, lifespan="off") as server:
        transport = server.connect(fails_at=number)
        transport.feed(GET % b"/stream")
        while not site.left:
            await asyncio.sleep(0)
        assert transport.writes == number
        assert server.server.connections == 0


async def test_a_stream_waits_for_a_peer_that_takes_nothing(site):
    async with MemoryServer(site.app, lifespan="off") as server:
        transport = server.connect(takes=False, high_water=30_000)
        transport.feed(GET % b"/stream")
        held = await transport.settled()
        assert 30_000 < len(held) < 100_000
        transport.take(10_000_000)
        assert len(await transport.settled()) > len(held)
        transport.fail()
        while not site.left:
            await asyncio.sleep(0)


async def test_a_websocket_is_served_in_memory(site):
    async with MemoryServer(site.app, lifespan="off") as server:
        transport = server.connect()
        transport.feed(opening("/socket"))
        head = await transport.settled()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        transport.feed(masked(1, b"hello"))
        assert (await transport.settled())[len(head) :].startswith(b"\x81\x0eyou said hello\x88")


async def test_a_transport_of_one_s_own_is_taken(site):
    async with MemoryServer(site.app, lifespan="off") as server:
        own = MemoryTransport(extra={"peername": ("2001:db8::1", 1)})
        assert server.connect(own) is own
        assert own.protocol is own.get_protocol()


async def test_before_the_start_there_is_nothing_to_connect_to(site):
    with pytest.raises(RuntimeError):
        MemoryServer(site.app).connect()
