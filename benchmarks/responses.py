"""Finds the end of a response: the little of HTTP/1.1 that a load generator needs.

Responses to one request repeat: one of the same length and the same first bytes as the response
before is taken for complete without parsing it again.
"""

from __future__ import annotations

__all__ = ["Framing", "fields_of"]

LAST_CHUNK = b"0\r\n\r\n"
START = len("HTTP/1.1 200 OK")


class Framing:
    """The state of one response as it arrives; ``reset()`` before the next.

    ``status`` is its status code, ``closes`` says that the connection ends with it.
    """

    __slots__ = ("_buffer", "_known", "_left", "closes", "status")

    def __init__(self) -> None:
        self.status = 0
        self.closes = False
        self._known: tuple[int, bytes, int, bool] = (0, b"", 0, False)
        self.reset()

    def reset(self) -> None:
        """Forget the response that is complete."""
        self._buffer = b""
        # Bytes of content to come; -1: head to come, -2: chunked, -3: ended by the connection.
        self._left = -1

    def feed(self, data: bytes) -> bool:
        """Take what a read returned (nothing: the end); return whether the response is whole."""
        if self._left == -1 and not self._buffer:
            length, start, self.status, self.closes = self._known
            if length and len(data) == length and data.startswith(start):
                return True
            return self._first(data)
        return self._more(data)

    def _first(self, data: bytes) -> bool:
        whole = self._more(data)
        if whole and self._left == 0:
            self._known = (len(data), data[:START], self.status, self.closes)
        return whole

    def _more(self, data: bytes) -> bool:
        if not data:
            return self._left == -3
        if self._left == -1:
            self._buffer += data
            head, found, data = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return False
            self._buffer = b""
            self._read_head(head)
        if self._left >= 0:
            self._left = max(self._left - len(data), 0)
            return self._left == 0
        if self._left == -2:
            self._buffer = (self._buffer + data)[-len(LAST_CHUNK) :]
            return self._buffer == LAST_CHUNK
        return False

    def _read_head(self, head: bytes) -> None:
        fields = fields_of(head)
        self.status = int(head[9:12])
        self.closes = b"close" in fields.get(b"connection", b"")
        if b"content-length" in fields:
            self._left = int(fields[b"content-length"])
        elif b"chunked" in fields.get(b"transfer-encoding", b""):
            self._left = -2
        else:
            self._left = -3
            self.closes = True


def fields_of(head: bytes) -> dict[bytes, bytes]:
    """Return the fields of a head, in lower case; a repeated one keeps its last value."""
    fields = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip().lower()
    return fields
