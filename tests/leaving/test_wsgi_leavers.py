"""WSGI streams whose clients leave: their threads come back, and the service goes on."""

from __future__ import annotations

import re
import signal
import socket
import struct
import time
from http.client import HTTPConnection

import pytest

from tests.support import TIMEOUT, ServerProcess

pytest.importorskip("a2wsgi")

MAIN = """
import os, time
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount

def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path.endswith("/endless"):
        return stream(10**9)
    if path.endswith("/long"):
        return stream(40)
    return [b"served"]

def stream(pieces):
    try:
        for _ in range(pieces):
            yield b"piece" * 2000
            time.sleep(0.05)
    finally:
        os.write(2, b"CLOSED\\n")

mounted = Starlette(routes=[Mount("/", WSGIMiddleware(wsgi))])
"""

LEAVERS = 12
"""More than a2wsgi has threads."""


def leave_a_stream(port, target, how):
    """Read the beginning of a response and go."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if not sock.recv(1000).startswith(b"HTTP/1.1 200"):
            raise AssertionError("no response")
        if how == "RST":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def wait_for_closed(server, count):
    deadline = time.monotonic() + TIMEOUT
    while len(re.findall("^CLOSED$", server.stderr, re.MULTILINE)) < count:
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.02)


def ask(port):
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request("GET", "/")
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.mark.parametrize(
    ("application", "target", "flags"),
    [
        ("main:wsgi", "/endless", ("--interface", "wsgi")),
        ("main:wsgi", "/endless", ("--disconnect", "raise")),
        ("main:mounted", "/long", ()),
    ],
    ids=["wsgi", "wsgi that raises", "mounted"],
)
def test_threads_come_back(tmp_path, application, target, flags):
    (tmp_path / "main.py").write_text(MAIN)
    arguments = (application, "--timeout-disconnect", "100ms", *flags)
    with ServerProcess(*arguments, cwd=tmp_path) as server:
        port = int(server.wait_listening().rpartition(":")[2])
        for number in range(LEAVERS):
            leave_a_stream(port, target, ("FIN", "RST")[number % 2])
            if number % 6 == 5:
                wait_for_closed(server, number + 1)
        assert ask(port) == (200, b"served")
        assert server.stop() == 0
        assert not re.search("ERROR|Traceback", server.stderr), server.stderr
        assert '" 500 ' not in server.stdout


def test_a_stop_with_a_stream_in_a_thread_ends(tmp_path):
    """Python waits for the threads of executors at its end."""
    (tmp_path / "main.py").write_text(MAIN)
    arguments = ("main:wsgi", "--timeout-graceful-shutdown", "300ms")
    with ServerProcess(*arguments, cwd=tmp_path) as server:
        port = int(server.wait_listening().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            sock.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(1000)
            server.signal(signal.SIGTERM)
            assert server.finish() == 0
        assert "CLOSED" in server.stderr
