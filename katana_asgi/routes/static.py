"""A whole response as bytes, current to the second.

Everything but the default fields (Date, Server, those of ``--header``) is fixed. A connection
that finds other default fields than the response was rendered with asks for a new rendering.
"""

from __future__ import annotations

from typing import Final

from katana_asgi.http.status import reason_phrase

__all__ = ["CLOSE", "KEEP_ALIVE", "PERSISTENT", "CachedResponse"]

PERSISTENT: Final = 0  # HTTP/1.1: a connection persists unless somebody says close
KEEP_ALIVE: Final = 1  # HTTP/1.0: it persists only where the server says so, too
CLOSE: Final = 2

_ENDS: Final = (b"\r\n", b"connection: keep-alive\r\n\r\n", b"connection: close\r\n\r\n")


DRAINING: Final = b"draining\n"

NOT_READY: Final = (
    b"content-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n"
    b"content-length: %d\r\n" % len(DRAINING)
)
"""The field lines of the answer of a route that states readiness, while it is not given."""


class CachedResponse:
    """One response to one kind of request on one kind of connection.

    ``data`` is the response as it goes to the transport: head, and content where the request
    asks for it. ``stamp`` holds the default field lines it was rendered with. ``length`` is
    the number of content bytes in ``data``; ``close`` says that the connection ends behind it.
    """

    __slots__ = (
        "_content",
        "_end",
        "_fields",
        "_own_names",
        "_ready",
        "_status_line",
        "close",
        "data",
        "length",
        "stamp",
        "status",
    )

    def __init__(
        self,
        status: int,
        fields: bytes,
        content: bytes,
        persistence: int,
        own_names: frozenset[bytes] = frozenset(),
        ready: bool = False,
    ) -> None:
        """``fields`` are field lines; ``own_names`` are those that replace default fields.

        ``ready``: it says that the worker is ready, which ends when it drains.
        """
        self._ready = ready
        self._status_line = b"HTTP/1.1 %d %b\r\n" % (status, reason_phrase(status))
        self._fields = fields
        self._end = _ENDS[persistence]
        self._content = content
        self._own_names = own_names
        self.status = status
        self.length = len(content)
        self.close = persistence == CLOSE
        self.refresh(b"")

    def refresh(self, default_fields: bytes) -> None:
        """Render ``data`` anew; ``default_fields`` are field lines, each with its CRLF."""
        self.stamp = default_fields
        if self._own_names:
            default_fields = _without(default_fields, self._own_names)
        self.data = b"".join(
            (self._status_line, default_fields, self._fields, self._end, self._content)
        )

    def draining(self) -> CachedResponse:
        """What is answered while the worker drains; the connection ends behind it."""
        if not self._ready:
            return self.closing()
        content = DRAINING if self._content else b""
        response = CachedResponse(503, NOT_READY, content, CLOSE)
        response.refresh(self.stamp)
        return response

    def closing(self) -> CachedResponse:
        """The same response for a connection that ends behind it."""
        if self.close:
            return self
        response = CachedResponse(self.status, self._fields, self._content, CLOSE, self._own_names)
        response.refresh(self.stamp)
        return response


def _without(lines: bytes, names: frozenset[bytes]) -> bytes:
    kept = [
        line
        for line in lines.splitlines(keepends=True)
        if line.partition(b":")[0].lower() not in names
    ]
    return b"".join(kept)
