"""One representation of a file, and the response that a request gets of it (RFC 9110 §13, §14).

A representation is the plain file or a compressed sidecar, each with an entity tag of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from katana_asgi.files.response import FileRange, FileResponse
from katana_asgi.http.conditional import failed_precondition, if_range_holds
from katana_asgi.http.dates import http_date
from katana_asgi.http.ranges import (
    Multipart,
    Span,
    content_range,
    multipart,
    select_spans,
    unsatisfied_range,
)

if TYPE_CHECKING:
    from katana_asgi.files.response import OpenFile
    from katana_asgi.http.message import Field

__all__ = ["CONDITIONS", "Representation", "Signature", "entity_tag", "respond", "signature"]

CONDITIONS: Final = frozenset(
    {
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)
"""The fields that can make a response anything but the whole representation."""

_ABOUT_CONTENT: Final = frozenset({b"content-type", b"content-encoding", b"accept-ranges"})
"""What a 304 leaves out (RFC 9110 §15.4.5); Last-Modified stays for caches without tags."""

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, modification and change time: equal means the same content."""


def signature(state: os.stat_result) -> Signature:
    """What changes whenever the content of a name does."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def entity_tag(state: os.stat_result, coding: bytes) -> bytes:
    """A strong tag that is the same on every machine with the same files: no inode in it."""
    tag = b"%x-%x" % (state.st_mtime_ns, state.st_size)
    return b'"%b-%b"' % (tag, coding) if coding else b'"%b"' % tag


class Representation:
    """A file with the fields of its whole response; ``content`` where it is in memory."""

    __slots__ = ("content", "content_type", "etag", "fields", "length", "modified", "whole")

    def __init__(
        self,
        state: os.stat_result,
        coding: bytes,
        content_type: bytes,
        fields: list[Field],
        now: float,
    ) -> None:
        """``fields`` are those that do not depend on the content, such as Cache-Control."""
        self.length = state.st_size
        self.content_type = content_type
        self.etag = entity_tag(state, coding)
        # RFC 9110 §8.8.2.1: never later than the date of the response. A time of 0 or 1 is
        # that of reproducible packages, and true of no content.
        modified = int(state.st_mtime)
        self.modified = min(modified, int(now)) if modified > 1 else None
        self.fields = [
            (b"content-type", content_type),
            (b"etag", self.etag),
            (b"accept-ranges", b"bytes"),
            *fields,
        ]
        if self.modified is not None:
            self.fields.insert(2, (b"last-modified", http_date(self.modified)))
        if coding:
            self.fields.append((b"content-encoding", coding))
        self.content: bytes | None = None
        self.whole: FileResponse | None = None

    def hold(self, content: bytes) -> None:
        """Hold the content in memory, with the finished response to a plain GET."""
        self.content = content
        self.whole = FileResponse(200, self.whole_fields(), content)

    def whole_fields(self) -> list[Field]:
        """The fields of a response with all of the content."""
        return [*self.fields, (b"content-length", b"%d" % self.length)]


def respond(
    representation: Representation,
    method: str,
    conditions: list[Field],
    file: OpenFile | None,
    now: float,
) -> FileResponse:
    """The response to GET or HEAD; ``conditions`` are the request's fields among ``CONDITIONS``.

    ``file`` is needed where the representation has no content in memory, and is part of the
    response only where it is read from.
    """
    if not conditions and method == "GET" and representation.whole is not None:
        return representation.whole
    failed = failed_precondition(method, conditions, representation.etag, representation.modified)
    if failed == 304:
        kept = [field for field in representation.fields if field[0] not in _ABOUT_CONTENT]
        return FileResponse(304, kept)
    if failed:
        return FileResponse(412, [(b"content-length", b"0")])
    if method == "HEAD":  # RFC 9110 §14.2: a range means something for GET only
        return FileResponse(200, representation.whole_fields())
    spans = _requested_spans(representation, conditions, now)
    if spans is None:
        everything = [Span(0, representation.length)]
        return _with_parts(200, representation.whole_fields(), representation, file, everything)
    if not spans:
        unsatisfied = [
            (b"content-range", unsatisfied_range(representation.length)),
            (b"content-length", b"0"),
        ]
        return FileResponse(416, unsatisfied)
    return _partial(representation, spans, file)


def _requested_spans(
    representation: Representation, conditions: list[Field], now: float
) -> list[Span] | None:
    wanted = dict(conditions)
    value = wanted.get(b"range")
    if value is None or sum(name == b"range" for name, _ in conditions) > 1:
        return None
    condition = wanted.get(b"if-range")
    if condition is not None and not if_range_holds(
        condition, representation.etag, representation.modified, now
    ):
        return None
    return select_spans(value, representation.length)


def _partial(
    representation: Representation, spans: list[Span], file: OpenFile | None
) -> FileResponse:
    length = representation.length
    if len(spans) == 1:
        fields = [
            *representation.fields,
            (b"content-range", content_range(spans[0], length)),
            (b"content-length", b"%d" % (spans[0].end - spans[0].first)),
        ]
        return _with_parts(206, fields, representation, file, spans)
    layout = multipart(spans, length, representation.content_type)
    fields = [field for field in representation.fields if field[0] != b"content-type"]
    fields.append((b"content-type", layout.content_type))
    fields.append((b"content-length", b"%d" % layout.length))
    return _with_parts(206, fields, representation, file, spans, layout)


def _with_parts(
    status: int,
    fields: list[Field],
    representation: Representation,
    file: OpenFile | None,
    spans: list[Span],
    layout: Multipart | None = None,
) -> FileResponse:
    heads, end = ([b""], b"") if layout is None else (layout.heads, layout.end)
    known = representation.content
    if known is not None:
        pieces = zip(heads, spans, strict=True)
        content = b"".join([head + known[span.first : span.end] for head, span in pieces])
        return FileResponse(status, fields, content + end)
    if file is None:
        raise ValueError("the content is neither in memory nor in a file")
    parts: list[bytes | FileRange] = []
    for head, span in zip(heads, spans, strict=True):
        parts += (head, FileRange(file, span.first, span.end - span.first))
    parts.append(end)
    return FileResponse(status, fields, tuple([part for part in parts if part]), file)
