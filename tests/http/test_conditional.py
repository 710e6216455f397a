"""Entity tags and preconditions (RFC 9110 §8.8.3, §13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.conditional import (
    failed_precondition,
    is_entity_tag,
    lists_strongly,
    lists_weakly,
    strong_entity_tag,
)

OPAQUE = st.lists(
    st.sampled_from([*range(0x23, 0x7F), 0x21, *range(0x80, 0x100)]), max_size=12
).map(bytes)
TAG = st.builds(
    lambda weak, opaque: weak + b'"' + opaque + b'"', st.sampled_from([b"", b"W/"]), OPAQUE
)
SPACE = st.sampled_from([b"", b" ", b"\t", b"  "])


@pytest.mark.parametrize("value", [b'""', b'"a"', b'W/"a"', b'"a,b"', b'"\x80\xff"', b'"\\"'])
def test_an_entity_tag_is_quoted_and_perhaps_weak(value: bytes) -> None:
    assert is_entity_tag(value)


@pytest.mark.parametrize(
    "value",
    [b"", b"a", b'"', b'"a', b'a"', b'w/"a"', b'W/ "a"', b'"a b"', b'"a"b"', b'"\x7f"', b"*"],
)
def test_anything_else_is_no_entity_tag(value: bytes) -> None:
    assert not is_entity_tag(value)


@pytest.mark.parametrize(
    ("value", "etag", "weakly", "strongly"),
    [
        # the table of RFC 9110 §8.8.3.2
        (b'W/"1"', b'W/"1"', True, False),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', True, False),
        (b'"1"', b'W/"1"', True, False),
        (b'"1"', b'"1"', True, True),
        # lists
        (b"*", b'"1"', True, True),
        (b"*", b'W/"1"', True, True),
        (b'"0", "1"', b'"1"', True, True),
        (b'"0","1"\t,\t"2"', b'"1"', True, True),
        (b', ,"1",,', b'"1"', True, True),
        (b'"0", W/"1"', b'"1"', True, False),
        (b'"a,b", "c"', b'"a,b"', True, True),
        (b'"a,b", "c"', b'"a"', False, False),
        (b'"a, ", "b"', b'", "', False, False),
        # what is no list lists nothing
        (b"", b'"1"', False, False),
        (b",", b'"1"', False, False),
        (b"1", b'"1"', False, False),
        (b'"1" "2"', b'"1"', False, False),
        (b'"1", 2', b'"1"', False, False),
        (b'"1", *', b'"1"', False, False),
        (b'"1", "2', b'"1"', False, False),
        (b'w/"1"', b'"1"', False, False),
    ],
)
def test_lists_are_compared_weakly_and_strongly(
    value: bytes, etag: bytes, weakly: bool, strongly: bool
) -> None:
    assert lists_weakly(value, etag) is weakly
    assert lists_strongly(value, etag) is strongly


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", [], 0),
        ("GET", [(b"if-none-match", b'"1"')], 304),
        ("HEAD", [(b"if-none-match", b'"1"')], 304),
        ("POST", [(b"if-none-match", b'"1"')], 412),
        ("GET", [(b"if-none-match", b'"2"')], 0),
        ("GET", [(b"if-none-match", b'"2"'), (b"if-none-match", b'"1"')], 304),
        ("GET", [(b"if-match", b'"1"')], 0),
        ("GET", [(b"if-match", b'"2"')], 412),
        ("GET", [(b"if-match", b'"2"'), (b"x", b"y"), (b"if-match", b'"1"')], 0),
        ("GET", [(b"if-match", b"")], 412),
        # §13.2.2: If-Match is judged first
        ("GET", [(b"if-none-match", b'"1"'), (b"if-match", b'"2"')], 412),
        ("GET", [(b"if-none-match", b'"1"'), (b"if-match", b'"1"')], 304),
        # §13.1.3, §13.1.4: ignored without a modification date
        ("GET", [(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:37 GMT")], 0),
        ("GET", [(b"if-unmodified-since", b"Sun, 06 Nov 1994 08:49:37 GMT")], 0),
    ],
)
def test_preconditions_ask_for_a_status(
    method: str, fields: list[tuple[bytes, bytes]], status: int
) -> None:
    assert failed_precondition(method, fields, b'"1"') == status


@given(st.binary(), st.binary())
def test_equal_contents_and_only_they_share_a_tag(one: bytes, other: bytes) -> None:
    tag = strong_entity_tag(one)
    assert is_entity_tag(tag)
    assert not tag.startswith(b"W/")
    assert (tag == strong_entity_tag(other)) == (one == other)


@given(st.lists(st.tuples(SPACE, TAG, SPACE), max_size=6), TAG)
def test_a_tag_is_found_in_a_list_exactly_where_it_stands_in_it(
    listed: list[tuple[bytes, bytes, bytes]], etag: bytes
) -> None:
    value = b",".join(b"".join(element) for element in listed)
    tags = [tag for _, tag, _ in listed]
    assert lists_strongly(value, etag) == (etag in tags and not etag.startswith(b"W/"))
    opaque = etag.removeprefix(b"W/")
    assert lists_weakly(value, etag) == any(tag.removeprefix(b"W/") == opaque for tag in tags)


@given(st.binary(max_size=60))
def test_no_value_is_refused_with_an_exception(value: bytes) -> None:
    lists_weakly(value, b'"1"')
    lists_strongly(value, b'"1"')
