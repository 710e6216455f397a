"""HTTP/2 without TLS: one request for the check, and h2load for the load.

h2load sends the fields that it is given with each request and takes its paths from a file, so
what is new in each request stands in the path.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ADDRESS", "OPENING", "Frames", "command", "exchange", "missing", "parse", "split"]

ADDRESS = "http://127.0.0.1:{port}"
CONNECTION_FIELDS = ("host", "connection")
"""Fields that HTTP/2 has otherwise, or not at all."""

SETTINGS, ACK = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + ACK
"""What a client sends first: the preface, empty SETTINGS, and that it has those of the server."""

REQUESTS = re.compile(
    r"^requests: .*?(?P<done>\d+) done, (?P<succeeded>\d+) succeeded, (?P<failed>\d+) failed, "
    r"(?P<errored>\d+) errored, (?P<timeout>\d+) timeout",
    re.MULTILINE,
)
STATUSES = re.compile(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", re.MULTILINE)


def missing() -> str | None:
    """Return why HTTP/2 cannot be measured here, or ``None``."""
    if shutil.which("h2load") is None:
        return "the program h2load is not installed"
    if importlib.util.find_spec("h2") is None:
        return "the package h2 is not installed"
    return None


def split(request: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the path of a GET in HTTP/1.1, and its fields as HTTP/2 has them."""
    first, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [line.split(":", 1) for line in lines]
    fields = [(name.lower(), value.strip()) for name, value in pairs]
    return first.split()[1], [field for field in fields if field[0] not in CONNECTION_FIELDS]


class Frames:
    """What one client sends: requests that are GETs of HTTP/1.1, as frames.

    Its fields are in the table of the connection from the first request on, its paths never.
    """

    def __init__(self) -> None:
        from hpack import Encoder

        self._encoder = Encoder()
        self._stream = 1

    def request(self, request: bytes) -> bytes:
        """Return the frame of the next request."""
        path, fields = split(request)
        block = self._encoder.encode(
            [
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "127.0.0.1"),
                (":path", path, True),
                *fields,
            ]
        )
        stream, self._stream = self._stream, self._stream + 2
        return len(block).to_bytes(3) + bytes((1, 5)) + stream.to_bytes(4) + block


def command(
    paths: Path, fields: Sequence[tuple[str, str]], clients: int, streams: int, seconds: float
) -> list[str]:
    """Return the command of h2load; ``paths`` is a file with an address in each line."""
    return [
        "h2load",
        f"--clients={clients}",
        f"--max-concurrent-streams={streams}",
        f"--duration={max(round(seconds), 1)}",
        *(f"--header={name}: {value}" for name, value in fields),
        f"--input-file={paths}",
    ]


def parse(text: str) -> tuple[int, dict[str, int]]:
    """Return from what h2load printed the requests that were answered, and errors by kind.

    Raises ``ValueError`` where it printed none of that.
    """
    found, statuses = REQUESTS.search(text), STATUSES.search(text)
    if found is None or statuses is None:
        raise ValueError(f"h2load gave no result: {text.strip()[-200:]}")
    good, *others = map(int, statuses.groups())
    errors = {name: int(found[name]) for name in ("failed", "errored", "timeout")}
    errors["status"] = sum(others)
    return good, {kind: count for kind, count in errors.items() if count}


def exchange(port: int, request: bytes, timeout: float = 5.0) -> bytes:
    """Send a GET on a connection of its own; return the response as HTTP/1.1 would have it.

    Raises ``OSError`` where there is no connection or no whole response in time, and
    ``ValueError`` for what is not HTTP/2.
    """
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    path, fields = split(request)
    peer = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
    peer.initiate_connection()
    head = [(":method", "GET"), (":scheme", "http"), (":authority", f"127.0.0.1:{port}")]
    peer.send_headers(1, [*head, (":path", path), *fields], end_stream=True)
    answered: list[tuple[str, str]] = []
    content = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        while True:
            sock.sendall(peer.data_to_send())
            data = sock.recv(65536)
            if not data:
                raise ConnectionResetError("closed before the response to an HTTP/2 request")
            try:
                events = peer.receive_data(data)
            except ProtocolError as error:
                raise ValueError(f"not HTTP/2: {error}") from error
            if _take(events, peer, answered, content):
                return _as_http1(answered, bytes(content))


def _take(
    events: Sequence[Any], peer: Any, answered: list[tuple[str, str]], content: bytearray
) -> bool:
    """Keep what events say; return whether the response is whole."""
    from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

    for event in events:
        if isinstance(event, ResponseReceived):
            answered.extend((str(name), str(value)) for name, value in event.headers)
        elif isinstance(event, DataReceived):
            content += event.data
            peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamReset):
            raise ConnectionResetError(f"the stream was reset: {event.error_code}")
        elif isinstance(event, StreamEnded):
            return True
    return False


def _as_http1(fields: list[tuple[str, str]], content: bytes) -> bytes:
    status = next(value for name, value in fields if name == ":status")
    lines = [f"HTTP/1.1 {status} -"]
    lines += [f"{name}: {value}" for name, value in fields if not name.startswith(":")]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content
