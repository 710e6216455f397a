"""Response heads and chunks to bytes (RFC 9112 §4, §6, §7.1); no I/O, no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http.status import reason_phrase

if TYPE_CHECKING:
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.errors import RemoteProtocolError

__all__ = ["CONTINUE", "LAST_CHUNK", "encode_chunk", "encode_prefix", "refusal"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

MAX_PREFIXES: Final = 64
"""Against a list of fields that goes out with ever new lengths; each prefix is a copy of it."""


def status_line(status: int) -> bytes:
    """The status line with its CRLF; a status nobody registered has an empty phrase."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason_phrase(status))


def encode_prefix(
    status: int, fields: ResponseFields, length: int | None, *, chunked: bool
) -> bytes:
    """Status line, the application's fields and the framing; remembered in ``fields``.

    What differs from response to response (Date, Connection) comes behind it.
    """
    if chunked:
        framing = b"transfer-encoding: chunked\r\n"
    else:
        framing = b"" if length is None else b"content-length: %d\r\n" % length
    prefix = status_line(status) + fields.lines + framing
    if len(fields.prefixes) >= MAX_PREFIXES:
        fields.prefixes.clear()
    fields.prefixes[status, length, chunked] = prefix
    return prefix


def encode_chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 §7.1); ``data`` is not empty, that would end the content."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal(error: RemoteProtocolError, defaults: bytes, *, head: bool) -> bytes:
    """A whole response of the server's own that closes the connection.

    ``defaults`` are field lines such as Date. Its content is the error's reason, which is
    never a client's text; ``head`` leaves it out.
    """
    content = error.reason.encode("ascii") + b"\n"
    return b"".join(
        (
            status_line(error.status),
            defaults,
            *[b"%b: %b\r\n" % field for field in error.fields],
            b"content-type: text/plain; charset=utf-8\r\n",
            b"content-length: %d\r\n" % len(content),
            b"connection: close\r\n\r\n",
            b"" if head else content,
        )
    )
