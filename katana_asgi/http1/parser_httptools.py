"""Heads by llhttp, through httptools; the only module that knows the library.

llhttp splits and checks the field lines. What it is laxer about than RFC 9112 (control bytes,
folded lines) is checked on the raw bytes first; what the fields mean is decided in ``head.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from katana_asgi.errors import RemoteProtocolError

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = ["parse_fields"]


_REQUEST_LINE: Final = b"GET / HTTP/1.1\r\n"


class _Collector:
    """Receives llhttp's callbacks for one head."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))


def _trimmed(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return name + colon + value.strip(b" \t")


def parse_fields(section: bytes) -> list[Field]:
    """The fields of a whole header section; the ``FieldParser`` of this back end."""
    # ``find``, since ``in`` makes an exception of bytes, which it swallows, before it looks.
    if section.find(b"\t") >= 0 or section.find(b" \r") >= 0:
        # llhttp takes no HTAB beside "chunked"; RFC 9110 §5.6.3 does. And it strips leading white
        # space only (RFC 9112 §5.1).
        section = b"\r\n".join(map(_trimmed, section.split(b"\r\n")))
    collector = _Collector()
    try:
        # A fixed request line: llhttp knows only the registered methods (RFC 9110 §9.1).
        HttpRequestParser(collector).feed_data(_REQUEST_LINE + section)
    except HttpParserUpgrade:
        pass  # an Upgrade that is not taken is an ordinary request (RFC 9110 §7.8)
    except HttpParserError as error:
        raise RemoteProtocolError("invalid head") from error
    return collector.fields
