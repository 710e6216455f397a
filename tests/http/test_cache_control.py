"""Cache directives (RFC 9111 §5.2, RFC 9213)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.cache_control import LONGEST, directives, seconds, targeted_directives


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", {}),
        (b"no-store", {b"no-store": None}),
        (b"No-StOrE", {b"no-store": None}),
        (b"public, max-age=60", {b"public": None, b"max-age": b"60"}),
        (b"public,max-age=60 ,", {b"public": None, b"max-age": b"60"}),
        (b'max-age="60"', {b"max-age": b"60"}),
        (b'private="set-cookie, x", a=b', {b"private": b"set-cookie, x", b"a": b"b"}),
        # in a quoted string nothing is a directive
        (b'a="max-age=3600", max-age=1', {b"a": b"max-age=3600", b"max-age": b"1"}),
        (b'a="\\", max-age=3600", b', {b"a": b'\\", max-age=3600', b"b": None}),
        (b"max-age='60'", {b"max-age": b"'60'"}),
        # malformed members are passed over, the others count
        (b"max-age = 60, public", {b"public": None}),
        (b"=5, public", {b"public": None}),
        (b'a="open, public', {}),
        (b"max-age=1, max-age=2", {b"max-age": b"?"}),
        (b"max-age=1, max-age=1", {b"max-age": b"1"}),
    ],
)
def test_directives_of_a_field(value: bytes, expected: dict[bytes, bytes | None]) -> None:
    assert directives([value]) == expected


def test_field_lines_are_one_list() -> None:
    assert directives([b"public", b"max-age=5"]) == {b"public": None, b"max-age": b"5"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"public", None),
        (b"max-age=60", 60),
        (b"max-age=003600", 3600),
        (b"max-age=0", 0),
        (b"max-age=2147483647", 2**31 - 1),
        (b"max-age=2147483648", LONGEST),
        (b"max-age=" + b"9" * 5000, LONGEST),
        # what is not a number of seconds is stale
        (b"max-age=-1", 0),
        (b"max-age=1.5", 0),
        (b"max-age=60s", 0),
        (b"max-age='60'", 0),
        (b"max-age=", 0),
        (b"max-age", 0),
        (b"max-age=1, max-age=2", 0),
    ],
)
def test_seconds_of_a_directive(value: bytes, expected: int | None) -> None:
    assert seconds(directives([value]), b"max-age") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"max-age=60", {b"max-age": b"60"}),
        (b"max-age=-5", {b"max-age": b"-5"}),
        (b"private, max-age=1;a=b", {b"private": None, b"max-age": b"1"}),
        (b"no-store, private=?0", {b"no-store": None}),
        (b"", None),
        (b"max-age=%60", None),
        (b'max-age="60"', None),
        (b"max-age", None),
        (b"MAX-AGE=60", None),
        (b"max-age=60 public", None),
    ],
)
def test_a_targeted_field_is_a_structured_dictionary(
    value: bytes, expected: dict[bytes, bytes | None] | None
) -> None:
    assert targeted_directives([value]) == expected


@given(st.binary(max_size=80))
def test_no_bytes_raise(value: bytes) -> None:
    found = directives([value])
    assert all(name == name.lower() for name in found)
    targeted_directives([value])
    seconds(found, b"max-age")


@pytest.mark.parametrize(
    "hard",
    [
        b'a="' + b"\\" * 400_000, b"a=" * 200_000, b'"' * 400_000, b"," * 400_000,
        b", \t" * 200_000, b',"' * 200_000, b",@" * 200_000, b"a;" * 200_000,
    ],
)  # fmt: skip
def test_long_values_cost_no_more_than_their_length(hard: bytes) -> None:
    """With the square of it this would not end."""
    assert b"max-age" not in directives([hard])
    assert not targeted_directives([hard])
