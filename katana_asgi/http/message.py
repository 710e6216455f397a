"""The head of a request, as every protocol version hands it to the rest of the server.

Heads are immutable by convention: the request memo shares one head between requests.
What an application may change (its ``headers`` list) is copied into the scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from katana_asgi.http.target import Target

__all__ = ["UNKNOWN", "Field", "Framing", "RequestHead"]

UNKNOWN: Final = object()

Field: TypeAlias = tuple[bytes, bytes]
"""One field line (RFC 9110 §5): a lower-cased name and its value, both bytes."""


class Framing:
    """What the fields of a head decide for the server (RFC 9112 §6, §9).

    ``content_length`` is ``None`` where no Content-Length was sent; ``chunked`` says that the
    content is chunk-coded; ``upgrade`` is the Upgrade field where Connection names it.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "forwarded",
        "has_content",
        "keep_alive",
        "upgrade",
    )

    def __init__(
        self,
        keep_alive: bool,
        content_length: int | None = None,
        chunked: bool = False,
        expect_continue: bool = False,
        upgrade: bytes | None = None,
        forwarded: bool = False,
    ) -> None:
        self.keep_alive = keep_alive
        self.content_length = content_length
        self.chunked = chunked
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self.forwarded = forwarded
        self.has_content = chunked or bool(content_length)


class RequestHead:
    """A parsed and validated request head (RFC 9110 §6.2, RFC 9112 §3).

    ``fields`` keeps order and duplicates, names lower-cased. ``path`` is percent-decoded,
    ``raw_path`` is as sent without the query. The authority of an absolute-form target
    replaces Host (RFC 9112 §3.2.2). ``simple`` is a head that asks for no more than a response:
    no content follows and no upgrade. ``answer`` is where the route table's answer to this very
    head is kept, ``UNKNOWN`` until it was asked.
    """

    __slots__ = (
        "answer",
        "chunked",
        "content_length",
        "expect_continue",
        "fields",
        "forwarded",
        "has_content",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "simple",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        version: str,
        parsed: Target,
        fields: list[Field],
        framing: Framing,
    ) -> None:
        self.answer: object = UNKNOWN
        self.method = method
        self.target = target
        self.version = version
        self.path, self.raw_path, self.query, authority = parsed
        self.fields = fields if authority is None else _with_host(fields, authority)
        self.keep_alive = framing.keep_alive
        self.content_length = framing.content_length
        self.chunked = framing.chunked
        self.expect_continue = framing.expect_continue
        self.upgrade = framing.upgrade
        self.forwarded = framing.forwarded
        self.has_content = framing.has_content
        self.simple = not framing.has_content and framing.upgrade is None


def _with_host(fields: list[Field], authority: bytes) -> list[Field]:
    host = (b"host", authority)
    replaced = [host if field[0] == b"host" else field for field in fields]
    return replaced if host in replaced else [host, *replaced]
