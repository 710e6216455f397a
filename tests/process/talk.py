"""A blocking client for servers in other processes."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

from tests.support import TIMEOUT

__all__ = ["HALF_A_POST", "ask", "begin", "read_response", "wait_refused"]

HALF_A_POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"
"""Keeps the application waiting for ``def``."""


def ask(url: str, target: str = "/pid") -> bytes:
    """The content of a response, on a connection of its own."""
    address = urlsplit(url)
    with closing(HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT)) as http:
        http.request("GET", target)
        response = http.getresponse()
        assert response.status == 200
        return response.read()


def begin(url: str, data: bytes) -> socket.socket:
    """Send the beginning of a request; returns the connection."""
    address = urlsplit(url)
    connection = socket.create_connection((str(address.hostname), address.port or 0), TIMEOUT)
    connection.sendall(data)
    return connection


def wait_refused(url: str) -> None:
    """Wait until nobody listens any more."""
    with suppress(ConnectionRefusedError):
        while True:
            with suppress(ConnectionResetError):  # it was in the queue when the listener closed
                begin(url, b"").close()


def read_response(connection: socket.socket) -> tuple[int, str | None, bytes]:
    """Read a response: its status, its Connection field, its content."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.getheader("connection"), response.read()
