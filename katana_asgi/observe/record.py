"""What is kept of a finished exchange until its line is made: plain tuples, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from katana_asgi.http.message import Framing, RequestHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.http.message import Field

__all__ = ["NAMES", "NO_HEAD", "Outcome", "Record", "SentFields", "head_of_websocket"]

NAMES: Final = (
    "client", "scheme", "head", "status", "fields", "sent", "received", "remark", "messages",
)  # fmt: skip
"""The members of an outcome, in their order."""

NO_HEAD: Final = RequestHead("-", b"-", "-", ("-", b"-", b"", None), [], Framing(False))
"""Instead of a head that never was one."""


class SentFields(Protocol):
    """The fields of a response, as the application sent them."""

    @property
    def pairs(self) -> Sequence[Field]:
        """Names, lower-cased, and values."""


Outcome: TypeAlias = tuple[
    Any,  # the direct peer: host and port, or None
    str,  # scheme of the connection: "http" or "https"
    RequestHead,
    int,  # status
    "SentFields | bytes | None",  # the application's fields, or a whole response of the server's
    int,  # content bytes out
    int,  # content bytes in
    str,  # a remark of the server's own
    "tuple[int, int, float] | None",  # of a WebSocket: messages in and out, seconds it was open
]
"""What an exchange was and came to. A connection that repeats itself gives the same object."""

Record: TypeAlias = tuple[
    Outcome,
    float,  # ended and ...
    float,  # ... began, both of time.perf_counter()
    object,  # the request id, a str where there is one
]
"""An outcome, and what is different each time: only kept where a line tells it."""


def head_of_websocket(head: RequestHead, fields: bool) -> RequestHead:
    """What the line at a WebSocket's end needs of ``head``: all of it, or no ``fields``.

    An idle WebSocket should be small.
    """
    if fields:
        return head
    parsed = (head.path, head.raw_path, head.query, None)
    return RequestHead(head.method, head.target, head.version, parsed, [], Framing(False))
