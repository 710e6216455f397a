"""A response that needs no application: status, fields and content, in no version's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = ["StaticResponse"]


class StaticResponse:
    """One response to one kind of request.

    ``pairs`` are its fields, names lower-cased; ``own`` are the default fields that it replaces.
    ``ready`` says that it states the worker's readiness, ``lasting`` that the same request gets
    the same response as long as the worker serves. ``rendered`` is where each protocol
    version keeps what it made of the response, under the name of its room. ``cache`` is what the
    response cache did, ``None`` where it did nothing.
    """

    __slots__ = ("cache", "content", "lasting", "own", "pairs", "ready", "rendered", "status")

    def __init__(
        self,
        status: int,
        pairs: tuple[Field, ...],
        content: bytes = b"",
        own: frozenset[bytes] = frozenset(),
        ready: bool = False,
        lasting: bool = True,
        cache: str | None = None,
    ) -> None:
        self.status = status
        self.pairs = pairs
        self.content = content
        self.own = own
        self.ready = ready
        self.lasting = lasting
        self.cache = cache
        self.rendered: dict[str, Any] = {}

    def while_draining(self) -> StaticResponse:
        """What is answered instead while the worker drains: it is not ready any more."""
        if not self.ready:
            return self
        return StaticResponse(503, _FIELDS, _DRAINING if self.content else b"")


_DRAINING: Final = b"draining\n"
_FIELDS: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-length", b"%d" % len(_DRAINING)),
)
