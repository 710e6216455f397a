"""The loads over HTTP/2: what h2load is asked and says, and the one request of the check."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks import transfers
from benchmarks.http2 import Frames, command, exchange, parse, split
from benchmarks.messages import REQUESTS

SAID = """finished in 1.00s, 42747.00 req/s, 1.22MB/s
requests: 42800 total, 42843 started, 42747 done, {succeeded} succeeded, 0 failed, {errored} \
errored, 0 timeout
status codes: {good} 2xx, 0 3xx, {bad} 4xx, 0 5xx
traffic: 1.22MB (1282410) total, 83.49KB (85494) headers (space savings 97.40%), 542.68KB data
"""


def test_what_h2load_says_is_read() -> None:
    assert parse(SAID.format(succeeded=42747, errored=0, good=42747, bad=0)) == (42747, {})
    text = SAID.format(succeeded=42000, errored=7, good=42000, bad=740)
    assert parse(text) == (42000, {"errored": 7, "status": 740})
    with pytest.raises(ValueError, match="no result"):
        parse("h2load: error")


@pytest.mark.parametrize(("said", "seconds"), [("81.29ms", 0.08129), ("1.05s", 1.05)])
def test_how_long_a_transfer_took_is_read(said: str, seconds: float) -> None:
    text = f"finished in {said}, 12.30 req/s, 1.20GB/s\nstatus codes: 1 2xx, 0 3xx\n"
    assert transfers.parse(text) == pytest.approx(seconds)
    with pytest.raises(ValueError, match="not answered"):
        transfers.parse(text.replace("1 2xx", "0 2xx"))


def test_only_the_paths_of_a_client_are_new_in_each_request() -> None:
    client = Frames()
    requests = [REQUESTS["browsing"].first() for _ in range(2)]
    first, second = map(client.request, requests)
    assert [frame[5:9] for frame in (first, second)] == [b"\0\0\0\1", b"\0\0\0\3"]
    assert len(first) > 250
    assert len(second) < 100


def test_a_request_becomes_a_path_and_fields_that_http2_allows() -> None:
    path, fields = split(REQUESTS["browsing"].first())
    assert path.startswith("/shop/")
    assert len(fields) == 10
    names = {name for name, _ in fields}
    assert names.isdisjoint({"host", "connection"})
    assert all(name == name.lower() for name in names)
    words = command(Path("paths"), fields, 32, 8, 0.5)
    assert "--header=accept-language: en-GB,en;q=0.9" in words
    assert "--duration=1" in words


class Closing(asyncio.Protocol):
    """A server that knows HTTP/1.1 only."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")  # type: ignore[attr-defined]
        self.transport.close()


async def test_a_server_without_http2_is_found_out() -> None:
    pytest.importorskip("h2")
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Closing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((OSError, ValueError)):
            await asyncio.to_thread(exchange, port, REQUESTS["browsing"].first())


async def test_a_response_over_http2_is_read_to_its_end() -> None:
    pytest.importorskip("h2")
    loop = asyncio.get_running_loop()
    asked: list[tuple[str, str]] = []
    async with await loop.create_server(lambda: Answering(asked), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await asyncio.to_thread(exchange, port, REQUESTS["browsing"].first())
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 -\r\ncontent-length: 13"
    assert content == b"Hello, World!"
    assert dict(asked)[":path"].startswith("/shop/")


class Answering(asyncio.Protocol):
    """Answers each request with the greeting, in two frames."""

    def __init__(self, asked: list[tuple[str, str]]) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self.peer = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self.asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.peer.initiate_connection()
        self.transport.write(self.peer.data_to_send())

    def data_received(self, data: bytes) -> None:
        from h2.events import RequestReceived

        for event in self.peer.receive_data(data):
            if isinstance(event, RequestReceived):
                self.asked.extend((str(name), str(value)) for name, value in event.headers)
                number = event.stream_id
                self.peer.send_headers(number, [(":status", "200"), ("content-length", "13")])
                self.peer.send_data(number, b"Hello, ")
                self.peer.send_data(number, b"World!", end_stream=True)
        self.transport.write(self.peer.data_to_send())
