"""What a line of the access log is made of: a plain tuple for each exchange, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from katana_asgi.http.message import RequestHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.http.message import Field

__all__ = [
    "NAMES",
    "NO_HEAD",
    "PROTOCOLS",
    "Record",
    "SentFields",
    "head_without_fields",
]

NAMES: Final = (
    "client", "scheme", "head", "status", "fields", "sent", "received", "remark", "messages",
    "cache", "moment", "duration", "request_id",
)  # fmt: skip
"""The members of a record, in their order."""

NO_HEAD: Final = RequestHead("-", b"-", "-", "", None, "-", b"-", b"", [], 0, ())
"""Instead of a head that never was one."""


class _Protocols(dict[str, str]):
    """Protocols by version as logs have them, and tools that read logs expect them."""

    def __missing__(self, version: str) -> str:
        return f"HTTP/{version}"


PROTOCOLS: Final = _Protocols(
    {"2": "HTTP/2.0", **{version: f"HTTP/{version}" for version in ("1.0", "1.1")}}
)


class SentFields(Protocol):
    """What has the fields of a response: the application's, a route's or the server's own."""

    @property
    def pairs(self) -> Sequence[Field]:
        """Names, lower-cased, and values."""


Record: TypeAlias = tuple[
    Any,  # the client, as far as a trusted proxy tells it: host and port, or None
    str,  # scheme of the connection: "http" or "https"
    RequestHead,
    int,  # status
    "SentFields | None",  # the fields of the response
    int,  # content bytes out
    int,  # content bytes in
    str,  # a remark of the server's own
    "tuple[int, int, float] | None",  # of a WebSocket: messages in and out, seconds it was open
    "str | None",  # what the response cache did; None where there is none
    float,  # the time of day when it ended, in seconds since the epoch; 0.0: no line tells it
    float,  # how long it took, in seconds; 0.0: not known, or no line tells it
    object,  # the request id, a str where there is one
]
"""What an exchange was and came to."""


def head_without_fields(head: RequestHead) -> RequestHead:
    """What a line at a WebSocket's end needs of ``head``: an idle WebSocket should be small."""
    return RequestHead(
        head.method,
        head.target,
        head.version,
        head.scheme,
        head.authority,
        head.path,
        head.raw_path,
        head.query,
        [],
        0,
        (),
    )
