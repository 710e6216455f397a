"""Ranges (RFC 9110 §14): what is selected, what is ignored, and how parts are laid out."""

from __future__ import annotations

import email
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.ranges import (
    Span,
    content_range,
    multipart,
    select_spans,
    unsatisfied_range,
)

IGNORED = None


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-", [(0, 1000)]),
        (b"bytes=999-", [(999, 1000)]),
        (b"bytes=-1", [(999, 1000)]),
        (b"bytes=-1000", [(0, 1000)]),
        (b"bytes=-5000", [(0, 1000)]),
        (b"bytes=10-19", [(10, 20)]),
        (b"bytes=900-5000", [(900, 1000)]),
        (b"bytes=0000000000000000000000010-19", [(10, 20)]),
        (b"BYTES=0-0", [(0, 1)]),
        (b"bytes= 0-0 , ,", [(0, 1)]),
        (b"bytes=0-" + b"9" * 40, [(0, 1000)]),
        # not satisfiable
        (b"bytes=-0", []),
        (b"bytes=1000-", []),
        (b"bytes=1000-2000", []),
        (b"bytes=" + b"9" * 40 + b"-", []),
        (b"bytes=1000-,-0", []),
        # one of several can be satisfied
        (b"bytes=1000-,5-6", [(5, 7)]),
        # several, in the order of the request
        (b"bytes=0-1,500-501", [(0, 2), (500, 502)]),
        (b"bytes=500-501,0-1", [(500, 502), (0, 2)]),
        (b"bytes=-10,0-9", [(990, 1000), (0, 10)]),
        # what overlaps, touches or is near is one part
        (b"bytes=0-9,5-20", [(0, 21)]),
        (b"bytes=0-9,10-20", [(0, 21)]),
        (b"bytes=0-9,89-90", [(0, 91)]),
        (b"bytes=0-9,91-92", [(0, 10), (91, 93)]),
        (b"bytes=500-501,0-9,5-20", [(500, 502), (0, 21)]),
        (b"bytes=0-9,500-501,5-20", [(0, 21), (500, 502)]),
        (b"bytes=0-,0-,0-,0-", [(0, 1000)]),
        # not valid, so not there
        (b"bytes=5-4", IGNORED),
        (b"bytes=0-1,5-4", IGNORED),
        (b"bytes=", IGNORED),
        (b"bytes=,", IGNORED),
        (b"bytes=-", IGNORED),
        (b"bytes=a-b", IGNORED),
        (b"bytes=0 - 1", IGNORED),
        (b"bytes=0-1-2", IGNORED),
        (b"bytes=--1", IGNORED),
        (b"bytes=0x1-2", IGNORED),
        (b"bytes=+1-2", IGNORED),
        (b"bytes = 0-1", IGNORED),
        (b"bytes 0-1", IGNORED),
        (b"bytes", IGNORED),
        (b"", IGNORED),
        (b"lines=0-1", IGNORED),
        # too many
        (b"bytes=" + b",".join(b"%d-%d" % (n * 10, n * 10) for n in range(65)), IGNORED),
        (b"bytes=" + b"0-," * 1000, IGNORED),
    ],
)
def test_what_a_range_selects_of_a_thousand_bytes(value: bytes, spans: object) -> None:
    assert select_spans(value, 1000) == spans


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=0-0", b"bytes=-1"])
def test_a_range_of_nothing_is_ignored(value: bytes) -> None:
    assert select_spans(value, 0) is None


def test_positions_beyond_four_gibibytes_are_positions() -> None:
    assert select_spans(b"bytes=-2", 2**40) == [(2**40 - 2, 2**40)]
    assert select_spans(b"bytes=%d-" % 2**35, 2**40) == [(2**35, 2**40)]


SPEC = st.one_of(
    st.tuples(st.integers(0, 1200), st.integers(0, 300)).map(
        lambda pair: b"%d-%d" % (pair[0], sum(pair))
    ),
    st.integers(0, 1200).map(lambda first: b"%d-" % first),
    st.integers(0, 1200).map(lambda count: b"-%d" % count),
)


@given(st.lists(SPEC, min_size=1, max_size=64), st.integers(1, 1000))
def test_parts_are_disjoint_and_cover_what_was_asked_for(specs: list[bytes], length: int) -> None:
    spans = select_spans(b"bytes=" + b",".join(specs), length)
    assert spans is not None
    covered = [position for span in spans for position in range(*span)]
    assert len(covered) == len(set(covered))
    wanted = set()
    for spec in specs:
        for span in select_spans(b"bytes=" + spec, length) or []:
            wanted |= set(range(*span))
    assert wanted <= set(covered) <= set(range(length))


@given(st.binary(max_size=60))
def test_no_bytes_raise(value: bytes) -> None:
    for span in select_spans(b"bytes=" + value, 1000) or []:
        assert 0 <= span.first < span.end <= 1000


def test_the_values_of_content_range() -> None:
    assert content_range(Span(0, 1), 10) == b"bytes 0-0/10"
    assert unsatisfied_range(10) == b"bytes */10"


def test_a_multipart_parses_as_what_it_says() -> None:
    content = bytes(range(256)) * 4
    spans = [Span(500, 502), Span(0, 300)]
    layout = multipart(spans, 1024, b"image/png")
    body = b"".join(
        head + content[first:end] for head, (first, end) in zip(layout.heads, spans, strict=True)
    )
    body += layout.end
    assert len(body) == layout.length
    parsed = email.message_from_bytes(
        b"content-type: " + layout.content_type + b"\r\n\r\n" + body, policy=HTTP
    )
    assert parsed.get_content_type() == "multipart/byteranges"
    parts = list(parsed.iter_parts())
    assert [part["content-range"] for part in parts] == ["bytes 500-501/1024", "bytes 0-299/1024"]
    assert all(part.get_content_type() == "image/png" for part in parts)
    assert b"\r\n\r\n" + content[500:502] + b"\r\n--" in body
