"""HTTP dates (RFC 9110 §5.6.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.dates import http_date, parse_http_date

NOV_1994 = 784_111_777


@pytest.mark.parametrize(
    ("value", "timestamp"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", NOV_1994),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", NOV_1994),
        (b"Sun Nov  6 08:49:37 1994", NOV_1994),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
        (b"Fri, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),  # a leap second
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        (b"Tuesday, 01-Jan-30 00:00:00 GMT", 1_893_456_000),
    ],
)
def test_all_three_forms_are_read(value: bytes, timestamp: int) -> None:
    assert parse_http_date(value) == timestamp


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"now",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun 06 Nov 1994 08:49:37 GMT",
        b"Sun,  06 Nov 1994 08:49:37 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 1994 8:49:37 GMT",
        b"Sun, 06 nov 1994 08:49:37 GMT",
        b"Sun, 30 Feb 2024 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:00 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun Nov 06 08:49:37 94",
    ],
)
def test_anything_else_is_no_date(value: bytes) -> None:
    assert parse_http_date(value) is None


@given(st.integers(0, 253_402_300_799))
def test_what_is_sent_is_read_back(timestamp: int) -> None:
    assert parse_http_date(http_date(timestamp)) == timestamp


@given(st.binary(max_size=40))
def test_no_bytes_raise(value: bytes) -> None:
    assert parse_http_date(value) is None
