"""Limits on a request head, against heads that are used as unlimited memory or work."""

from __future__ import annotations

from katana_asgi.codec import check_sizes
from katana_asgi.errors import RemoteProtocolError

__all__ = ["HeadLimits"]


class HeadLimits:
    """Limits against heads that are used as unlimited memory or work."""

    __slots__ = ("count", "line", "size")

    def __init__(self, line: int, size: int, count: int) -> None:
        self.line = line  # bytes of the request line
        self.size = size  # bytes of the header section
        self.count = count  # field lines

    def check(self, head: bytes | bytearray) -> None:
        """Refuse a head, or the beginning of one, that is over a limit: 414 or 431."""
        line_end = head.find(b"\r\n")
        lines = head.count(b"\n", line_end)
        check_sizes(head, line_end, lines, self.line, self.size, self.count)

    def check_sizes(self, line_end: int, size: int, lines: int) -> None:
        """The same, from where the request line ends (-1: not yet), the bytes of the head, and
        the line ends from there on."""
        # Without its CRLF, of which the CR may have come already.
        if line_end > self.line or (line_end < 0 and size > self.line + 1):
            raise RemoteProtocolError("request line too long", 414)
        if line_end < 0:
            return
        if size - line_end > self.size:
            raise RemoteProtocolError("header section too large", 431)
        # One CRLF ends the request line, one more the section.
        if lines > self.count + 2:
            raise RemoteProtocolError("too many header fields", 431)
