"""The beginning of a request head whose end has not come yet (RFC 9112 §2.2)."""

from __future__ import annotations

from typing import Final

from katana_asgi.codec import check_sizes
from katana_asgi.codec.heads import split_request_line
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.target import parse_target
from katana_asgi.net.proxy_protocol import is_proxy_header

__all__ = ["HEAD_END", "PREFACE", "HeadBeginning", "skip_empty_lines"]

HEAD_END: Final = b"\r\n\r\n"
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"
"""What the preface of HTTP/2 looks like to HTTP/1.1 (RFC 9113 §3.4): a head that is refused."""
_CR: Final = 0x0D
_TCHAR: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789" + bytes(range(65, 91)) + bytes(range(97, 123))
)


class HeadBeginning:
    """Gathers a head that comes in pieces, and refuses early what can no longer become one.

    ``limits`` are those of ``codec.scan_head``; ``proxy_reason`` is what a PROXY header is
    refused with.
    """

    __slots__ = ("_checked", "_data", "_limits", "_line_end", "_lines", "_proxy_reason")

    def __init__(self, limits: tuple[int, int, int], proxy_reason: str) -> None:
        self._limits = limits
        self._proxy_reason = proxy_reason
        self._data = bytearray()
        self._checked = 0  # bytes that have been checked
        self._line_end = -1  # where the request line ends
        self._lines = 0  # line ends, from there on

    def add(self, data: bytes) -> bytes | None:
        """Add bytes; returns all of them once they hold the end of a head.

        Raises ``RemoteProtocolError``.
        """
        # Search again from three bytes back: the end may be cut anywhere.
        start = max(0, len(self._data) - 3)
        self._data += data
        if self._data.find(HEAD_END, start) >= 0:
            return bytes(self._data)
        self._check()
        return None

    @property
    def is_half_a_line_end(self) -> bool:
        """Whether it may still turn out to be an empty line."""
        return len(self._data) == 1 and self._data[0] == _CR

    def _check(self) -> None:
        """Check what is new only: a head that comes byte by byte must not cost its square."""
        beginning, checked = self._data, self._checked
        if self.is_half_a_line_end or PREFACE.startswith(beginning):
            return
        if beginning[0] not in _TCHAR:
            self._refuse_proxy_header(beginning)
            raise RemoteProtocolError("invalid request line")
        # A CR at the end of what was checked may be half of a line end.
        new = bytes(beginning[checked - (checked > 0 and beginning[checked - 1] == _CR) :])
        self._checked = len(beginning)
        first = self._line_end < 0
        if first:
            self._line_end = beginning.find(b"\r\n", max(0, checked - 1))
            self._lines = beginning.count(b"\n", self._line_end)
        else:
            self._lines += new.count(b"\n")
        check_sizes(beginning, self._line_end, self._lines, *self._limits)
        if first and self._line_end >= 0:
            line = bytes(beginning[: self._line_end])
            self._refuse_proxy_header(line)
            method, target, _ = split_request_line(line)
            parse_target(target, method)
        ends = new.count(b"\r\n")
        if new.count(b"\n") != ends or new.count(b"\r", 0, -1) > ends:
            raise RemoteProtocolError("bare CR or LF in the head")

    def _refuse_proxy_header(self, data: bytes | bytearray) -> None:
        if is_proxy_header(data):
            raise RemoteProtocolError(self._proxy_reason)


def skip_empty_lines(data: bytes) -> bytes:
    """RFC 9112 §2.2: a server should ignore empty lines before the request line."""
    rest = data.lstrip(b"\r\n")
    skipped = data[: len(data) - len(rest)]
    if not rest and skipped[-1:] == b"\r":
        rest, skipped = b"\r", skipped[:-1]
    if skipped != b"\r\n" * (len(skipped) // 2):
        raise RemoteProtocolError("invalid empty line before the request")
    return rest
