"""A reading half, and what it makes of the reads that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi import codec
from katana_asgi.config.model import Config
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http1.reading import RequestReader
from katana_asgi.http1.scanning import head_scanner
from katana_asgi.http1.settings import Http1Settings

if TYPE_CHECKING:
    from katana_asgi.http1.scanning import HeadScanner

__all__ = ["BACK_ENDS", "Requests", "heard", "reader_settings", "whole_scanner"]

BACK_ENDS = ("native", "httptools", "h11") if codec.NATIVE else ("httptools", "h11")
"""Those that are there; whether the native codec has to be is tested elsewhere."""

_SAID = (
    "method", "target", "version", "scheme", "authority", "path", "raw_path", "query",
    "content_length", "forwarded",
)  # fmt: skip


def whole_scanner(back_end: str) -> HeadScanner:
    """The scanner of a back end, which declines nothing: the twin of the native one helps out."""
    return codec.scan_head if back_end == "native" else head_scanner(back_end)


def reader_settings(back_end: str, *, line: int, size: int, count: int) -> Http1Settings:
    """The settings of a reader over one back end, with limits that may be tiny."""
    settings = Http1Settings(Config(app="a:b", http=back_end), DefaultFields())
    settings.head_limits = (line, size, count)
    return settings


class Requests:
    """Takes requests from a reader, one after the other, and notes what it hears.

    ``heard`` holds a dictionary for each head, content joined to one piece, "complete" at the end
    of each request.
    """

    def __init__(self, settings: Http1Settings) -> None:
        self.reader = RequestReader(settings)
        self.heard: list[Any] = []

    def feed(self, data: bytes, most: int = 10**6) -> None:
        """Give it a read, and take all it has; at most ``most`` heads."""
        self.reader.add(data)
        self.take(most)

    def take(self, most: int = 10**6) -> None:
        """Take what it has."""
        reader = self.reader
        self._take_content()
        while most and reader.complete:
            most -= 1
            head = reader.next_head()
            if head is None:
                return
            said = {name: getattr(head, name) for name in _SAID}
            self.heard.append({**said, "fields": list(head.fields), "framing": reader.framing})
            if reader.complete:
                self.heard.append("complete")
            else:
                self._take_content()

    def _take_content(self) -> None:
        reader = self.reader
        if reader.complete:
            return
        piece = reader.read_content()
        if piece and isinstance(self.heard[-1], bytes):
            self.heard[-1] += piece
        elif piece:
            self.heard.append(piece)
        if reader.complete:
            self.heard.append("complete")


def heard(pieces: list[bytes], settings: Http1Settings) -> list[Any]:
    """What is heard of these reads; at the end the status of a refusal, if there was one."""
    requests = Requests(settings)
    try:
        for piece in pieces:
            requests.feed(piece)
    except RemoteProtocolError as error:
        requests.heard.append(error.status)
    return requests.heard
