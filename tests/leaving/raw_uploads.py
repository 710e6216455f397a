"""A client that sends all of its content before it reads a byte."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from tests.support import TIMEOUT

STEPS = 6


class Uploader(threading.Thread):
    """One POST; over TLS with ``trust``. ``pause``: seconds between the parts of the content."""

    def __init__(self, base, trust, head, content, pause=0.1):
        super().__init__(daemon=True)
        self._port = urlsplit(base).port
        self._trust = trust
        self._head = head + b"\r\n"
        self._content = content
        self._pause = pause
        self._got = b""
        self.until_closed = 0.0  # seconds from the last byte sent to the end of the connection

    def run(self):
        sock = socket.create_connection(("localhost", self._port), TIMEOUT)
        if self._trust is not None:
            sock = self._trust.wrap_socket(sock, server_hostname="localhost")
        with sock:
            try:
                sock.sendall(self._head)
                step = len(self._content) // STEPS + 1
                for start in range(0, len(self._content), step):
                    time.sleep(self._pause)
                    sock.sendall(self._content[start : start + step])
                sent = time.monotonic()
                while data := sock.recv(65536):
                    self._got += data
                self.until_closed = time.monotonic() - sent
            except OSError as error:
                self._got = repr(error).encode()

    def status(self):
        """The status code that came, or what went wrong."""
        self.join(3 * TIMEOUT)
        return self._got[9:12] if self._got.startswith(b"HTTP/1.1 ") else self._got
