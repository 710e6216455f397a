"""Range requests (RFC 9110 §14): which parts of a representation a request asks for.

Only bytes. What cannot be understood is ignored, which gives the whole representation; so is
what asks for too much. A part is sent once, however often it is asked for.
"""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

__all__ = ["Multipart", "Span", "content_range", "multipart", "select_spans", "unsatisfied_range"]

_MOST_SPECS: Final = 64
"""Ranges of one request, against requests that make a response of nothing but part heads."""

_NEAR: Final = 80
"""Bytes between two parts; with fewer one part is shorter than two (RFC 9110 §15.3.7.2)."""

_match_spec: Final = re.compile(rb"([0-9]*)-([0-9]*)").fullmatch

_MOST_DIGITS: Final = 19
"""Digits of a position; no file is longer than 2**63 bytes, and int() is slow on long text."""


class Span(NamedTuple):
    """A part of a representation: from ``first`` up to but without ``end``."""

    first: int
    end: int


def select_spans(value: bytes, length: int) -> list[Span] | None:
    """What a Range value selects of ``length`` bytes, in the order in which it asks.

    ``None`` where the field is to be ignored, empty where nothing of it exists (416). Parts
    that overlap or nearly touch are one, at the place of the first of them.
    """
    unit, equals, specs = value.partition(b"=")
    # An empty file is sent whole: some clients add a Range to every request to bound its answer.
    if not equals or unit.lower() != b"bytes" or length == 0:
        return None
    members = [spec for part in specs.split(b",", _MOST_SPECS) if (spec := part.strip(b" \t"))]
    if not members or len(members) > _MOST_SPECS:
        return None
    spans = []
    for member in members:
        match = _match_spec(member)
        if match is None or member == b"-":
            return None
        span = _span(match[1], match[2], length)
        if span is None:
            return None
        if span.first < span.end:
            spans.append(span)
    return _joined(spans) if len(spans) > 1 else spans


def _span(first: bytes, last: bytes, length: int) -> Span | None:
    """One range; empty where it cannot be satisfied, ``None`` where it is not valid."""
    if not first:
        return Span(max(0, length - _number(last)), length)
    start = _number(first)
    if not last:
        return Span(start, length)
    stop = _number(last)
    if start > stop:
        return None  # RFC 9110 §14.1.1
    return Span(start, min(stop + 1, length))


def _number(digits: bytes) -> int:
    significant = digits.lstrip(b"0")
    if len(significant) > _MOST_DIGITS:
        return 10**_MOST_DIGITS
    return int(significant or b"0")


def _joined(spans: list[Span]) -> list[Span]:
    """Join what overlaps or nearly touches, and keep the order of what was asked for."""
    found: list[tuple[int, Span]] = []  # the earliest place among those joined, and the part
    for place, span in sorted(enumerate(spans), key=lambda item: item[1]):
        if found and span.first <= found[-1][1].end + _NEAR:
            before, joined = found[-1]
            end = max(joined.end, span.end)
            found[-1] = min(before, place), Span(joined.first, end)
        else:
            found.append((place, span))
    return [span for _, span in sorted(found)]


def content_range(span: Span, length: int) -> bytes:
    """The value of Content-Range for one part."""
    return b"bytes %d-%d/%d" % (span.first, span.end - 1, length)


def unsatisfied_range(length: int) -> bytes:
    """The value of Content-Range in a 416 (RFC 9110 §14.4)."""
    return b"bytes */%d" % length


class Multipart(NamedTuple):
    """The layout of multipart/byteranges: the bytes before each part, and those at the end."""

    content_type: bytes
    heads: list[bytes]
    end: bytes
    length: int


def multipart(spans: list[Span], length: int, content_type: bytes) -> Multipart:
    """How several parts of ``length`` bytes of ``content_type`` are sent (RFC 9110 §14.6)."""
    boundary = secrets.token_hex(12).encode("ascii")
    kind = b"content-type: %b\r\n" % content_type if content_type else b""
    heads = [
        b"\r\n--%b\r\n%bcontent-range: %b\r\n\r\n" % (boundary, kind, content_range(span, length))
        for span in spans
    ]
    heads[0] = heads[0].removeprefix(b"\r\n")
    end = b"\r\n--%b--\r\n" % boundary
    size = sum(map(len, heads)) + sum(span.end - span.first for span in spans) + len(end)
    return Multipart(b"multipart/byteranges; boundary=" + boundary, heads, end, size)
