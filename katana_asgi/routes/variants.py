"""The responses that one content under one path can give.

For each of content, HEAD, 304, 412 and 405 there are three, by what becomes of the connection.
Each is rendered when it is first asked for and kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.http.conditional import failed_precondition, strong_entity_tag
from katana_asgi.http.status import NO_CONTENT
from katana_asgi.routes.definition import FULL
from katana_asgi.routes.static import CLOSE, KEEP_ALIVE, PERSISTENT, CachedResponse

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
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
        self._responses: list[CachedResponse | None] = [None] * (_KINDS * 3)

    def respond(self, head: RequestHead) -> CachedResponse | None:
        """The response to ``head``; ``None`` where its method is left to the application."""
        kind = self._definition.kinds.get(head.method)
        if kind is None:
            if not self._definition.exclusive:
                return None
            kind = _METHOD_NOT_ALLOWED
        elif self._etag and not self._definition.ready:  # readiness is never remembered
            failed = failed_precondition(head.method, head.fields, self._etag)
            if failed:
                kind = _NOT_MODIFIED if failed == 304 else _PRECONDITION_FAILED
        if head.has_content or head.expect_continue or head.upgrade is not None:
            if kind != _METHOD_NOT_ALLOWED:
                return None
            persistence = CLOSE  # nobody waits for content that nobody wants
        elif not head.keep_alive:
            persistence = CLOSE
        else:
            persistence = KEEP_ALIVE if head.version == "1.0" else PERSISTENT
        return self._responses[kind * 3 + persistence] or self._render(kind, persistence)

    def _render(self, kind: int, persistence: int) -> CachedResponse:
        definition = self._definition
        if kind == _METHOD_NOT_ALLOWED:
            fields = b"allow: %b\r\ncontent-length: 0\r\n" % definition.allow
            response = CachedResponse(405, fields, b"", persistence)
        elif kind == _PRECONDITION_FAILED:
            response = CachedResponse(412, b"content-length: 0\r\n", b"", persistence)
        elif kind == _NOT_MODIFIED:
            # RFC 9110 §8.6: a Content-Length here would be that of the 200; leave it out.
            fields = definition.lines_304 + self._etag_line()
            response = CachedResponse(304, fields, b"", persistence, definition.own_names)
        else:
            response = CachedResponse(
                definition.status,
                definition.lines + self._etag_line() + self._length_line(),
                self._content if kind == FULL else b"",
                persistence,
                definition.own_names,
                definition.ready,
            )
        self._responses[kind * 3 + persistence] = response
        return response

    def _etag_line(self) -> bytes:
        if not self._etag or self._definition.etag is not None or self._definition.ready:
            return b""
        return b"etag: %b\r\n" % self._etag

    def _length_line(self) -> bytes:
        if self._definition.status in NO_CONTENT:
            return b""  # RFC 9110 §8.6: never in a 204
        return b"content-length: %d\r\n" % len(self._content)
