"""A stop with clients that only keep their connections takes under half a second.

The bound is measured against the same process without clients, so that a busy machine is none.
"""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack

import pytest

from tests.patience import PATIENCE
from tests.support import TIMEOUT, ServerProcess

MAIN = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + bytes(1000)
"""Answered, and then waited for."""

SUPERVISION = {"single": (), "supervised": ("--supervise",)}


def seconds_to_stop(place, flags, clients, requests, trust):
    """How long a server takes from SIGTERM to its end, with so many clients that stay."""
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess("main:app", *flags, cwd=place))
        port = int(server.wait_listening().rpartition(":")[2])
        for number in range(clients):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
            if trust is not None:
                sock = stack.enter_context(trust.wrap_socket(sock, server_hostname="localhost"))
            sock.sendall(requests[number % len(requests)])
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.finish() == 0
        return time.monotonic() - begin


@pytest.mark.parametrize(
    ("loop", "supervision", "tls"),
    [
        ("asyncio", "single", False),
        ("asyncio", "supervised", True),
        ("uvloop", "single", True),
        ("uvloop", "supervised", False),
    ],
)
def test_idle_clients_do_not_hold_up_a_stop(tmp_path, site, loop, supervision, tls):
    if loop == "uvloop":
        pytest.importorskip(loop)
    (tmp_path / "main.py").write_text(MAIN)
    flags = ("--loop", loop, *SUPERVISION[supervision], *(site.flags if tls else ()))
    trust = site.trust if tls else None
    alone = seconds_to_stop(tmp_path, flags, 0, (), trust)
    assert seconds_to_stop(tmp_path, flags, 5, (REQUEST,), trust) < alone + 0.5 * PATIENCE


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_clients_that_are_read_on_hold_up_a_stop_briefly(tmp_path, site, tls):
    (tmp_path / "main.py").write_text(MAIN)
    flags = site.flags if tls else ()
    trust = site.trust if tls else None
    alone = seconds_to_stop(tmp_path, flags, 0, (), trust)
    assert seconds_to_stop(tmp_path, flags, 4, (REQUEST, REFUSED), trust) < alone + 1.5 * PATIENCE


SSE = """
import asyncio
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route

async def events():
    while True:
        yield "piece"
        await asyncio.sleep(60)

async def stream(request):
    return EventSourceResponse(events())

app = Starlette(routes=[Route("/", stream)])
"""


def test_streams_of_sse_starlette_do_not_hold_up_a_stop(tmp_path):
    pytest.importorskip("sse_starlette")
    (tmp_path / "main.py").write_text(SSE)
    alone = seconds_to_stop(tmp_path, (), 0, (), None)
    assert seconds_to_stop(tmp_path, (), 3, (REQUEST,), None) < alone + 5 * PATIENCE
