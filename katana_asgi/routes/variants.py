"""The responses that one content under one path can give.

One each for the content, HEAD, 304, 412 and 405; each is made when it is first asked for and kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http.conditional import failed_precondition, strong_entity_tag
from katana_asgi.http.status import NO_CONTENT
from katana_asgi.routes.definition import FULL
from katana_asgi.routes.static import StaticResponse

if TYPE_CHECKING:
    from katana_asgi.http.message import Field, RequestHead
    from katana_asgi.routes.definition import Definition

__all__ = ["Variants"]

_KINDS: Final = 5
_NOT_MODIFIED, _PRECONDITION_FAILED, _METHOD_NOT_ALLOWED = range(2, _KINDS)  # after FULL, HEAD


class Variants:
    """All responses of one path with one content."""

    __slots__ = ("_content", "_definition", "_etag", "_responses")

    def __init__(self, definition: Definition, content: bytes) -> None:
        self._definition = definition
        self._content = content
        # RFC 9110 §13.2.1: preconditions count only where the response would be a success.
        self._etag = b""
        if definition.status == 200:
            self._etag = definition.etag or strong_entity_tag(content)
        self._responses: list[StaticResponse | None] = [None] * _KINDS

    def respond(self, head: RequestHead, *, simple: bool) -> StaticResponse | None:
        """The response to ``head``; ``None`` where it is left to the application.

        ``simple``: the request asks for a response and nothing else, such as an upgrade.
        """
        kind = self._definition.kinds.get(head.method)
        if kind is None:
            if not self._definition.exclusive:
                return None
            kind = _METHOD_NOT_ALLOWED
        elif not simple:
            return None
        elif self._etag and not self._definition.ready:  # readiness is never remembered
            failed = failed_precondition(head.method, head.fields, self._etag)
            if failed:
                kind = _NOT_MODIFIED if failed == 304 else _PRECONDITION_FAILED
        return self._responses[kind] or self._make(kind)

    def _make(self, kind: int) -> StaticResponse:
        definition = self._definition
        if kind == _METHOD_NOT_ALLOWED:
            response = StaticResponse(405, ((b"allow", definition.allow), _EMPTY))
        elif kind == _PRECONDITION_FAILED:
            response = StaticResponse(412, (_EMPTY,))
        elif kind == _NOT_MODIFIED:
            # RFC 9110 §8.6: a Content-Length here would be that of the 200; leave it out.
            pairs = (*definition.fields_304, *self._entity_tag())
            response = StaticResponse(304, pairs, own=definition.own_names)
        else:
            response = StaticResponse(
                definition.status,
                (*definition.fields, *self._entity_tag(), *self._length()),
                self._content if kind == FULL else b"",
                definition.own_names,
                definition.ready,
            )
        self._responses[kind] = response
        return response

    def _entity_tag(self) -> tuple[Field, ...]:
        if not self._etag or self._definition.etag is not None or self._definition.ready:
            return ()
        return ((b"etag", self._etag),)

    def _length(self) -> tuple[Field, ...]:
        if self._definition.status in NO_CONTENT:
            return ()  # RFC 9110 §8.6: never in a 204
        return ((b"content-length", b"%d" % len(self._content)),)


_EMPTY: Final = (b"content-length", b"0")
