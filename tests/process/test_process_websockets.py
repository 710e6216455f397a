"""Server processes that are told to stop while WebSockets are open."""

from __future__ import annotations

import signal
from contextlib import ExitStack

import pytest
from talk import begin
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import TIMEOUT, ServerProcess

MAIN = """
import sys

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        # One write: two workers share the pipe, and print() makes several.
        sys.stderr.write(f"told {message['code']}\\n")
"""

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_websockets_are_closed_with_1012_and_the_end_is_in_order(module, workers, number):
    place = module(MAIN)
    with (
        ServerProcess("main:app", "--workers", workers, cwd=place) as server,
        ExitStack() as stack,
    ):
        url = server.wait_listening().replace("http", "ws")
        clients = [stack.enter_context(connect(url)) for _ in range(10)]
        for client in clients:
            client.send("hello")
            assert client.recv(TIMEOUT) == "hello"
        server.signal(number)
        for client in clients:
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(TIMEOUT)
            assert caught.value.rcvd.code == 1012
        assert server.finish() == 0
    assert server.stderr.count("told 1012") == 10
    assert server.stdout.count('"WebSocket / HTTP/1.1" 101 Switching Protocols (closed 1012') == 10
    assert "Cancelling" not in server.stderr
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_client_that_answers_nothing_does_not_keep_the_process(module, workers):
    flags = ("--workers", workers, "--timeout-ws-shutdown", "100ms")
    with ServerProcess("main:app", *flags, cwd=module(MAIN)) as server:
        with begin(server.wait_listening(), HANDSHAKE) as connection:
            assert connection.recv(12) == b"HTTP/1.1 101"
            assert server.stop() == 0
    assert "Cancelling" not in server.stderr
