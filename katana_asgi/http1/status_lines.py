"""Status lines, refusals and chunks to bytes (RFC 9112 §4, §7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http.status import LAST, reason_phrase
from katana_asgi.http1.default_lines import field_lines

if TYPE_CHECKING:
    from katana_asgi.http.message import Field
    from katana_asgi.http.refusal import Refusal

__all__ = [
    "LAST_CHUNK",
    "STATUS_LINES",
    "encode_chunk",
    "encode_last_chunk",
    "informational",
    "refusal_bytes",
    "status_line",
]

LAST_CHUNK: Final = b"0\r\n\r\n"


def status_line(status: int) -> bytes:
    """The status line with its CRLF; an unregistered status has an empty phrase."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason_phrase(status))


STATUS_LINES: Final = tuple(status_line(status) for status in range(LAST + 1))
"""By status."""


def encode_chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 §7.1); ``data`` is not empty, that would end the content."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_last_chunk(trailers: tuple[Field, ...]) -> bytes:
    """The end of chunked content, with trailer fields (RFC 9112 §7.1.2)."""
    return b"0\r\n%b\r\n" % field_lines(trailers)


def informational(status: int, fields: tuple[Field, ...]) -> bytes:
    """An informational response, whole (RFC 9110 §15.2)."""
    return STATUS_LINES[status] + field_lines(fields) + b"\r\n"


def refusal_bytes(refusal: Refusal, last: bytes, *, head: bool) -> bytes:
    """A whole response of the server's own.

    ``last`` are the default fields and what ends the head; ``head`` leaves the content out.
    """
    fields = field_lines(refusal.pairs)
    return STATUS_LINES[refusal.status] + fields + last + (b"" if head else refusal.content)
