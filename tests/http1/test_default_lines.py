"""The fields that every response gets unless the application or a route sends its own."""

from __future__ import annotations

from itertools import product

import pytest

from katana_asgi.codec import DATE, SERVER
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http1.default_lines import CLOSE, ENDS, KEEP_ALIVE, PERSISTENT, DefaultLines

NOON = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT

DATE_LINE = b"date: Sun, 09 Sep 2001 01:46:40 GMT"


def test_the_date_is_that_of_the_second():
    fields = DefaultFields()
    lines = DefaultLines(fields)
    assert lines.variants[0] == b"server: katana-asgi\r\n\r\n"  # before the clock has started
    for second in range(40, 50):
        fields.refresh(NOON + second - 40)
        assert lines.variants[0].startswith(b"date: Sun, 09 Sep 2001 01:46:%d GMT\r\n" % second)
        assert fields.date == b"Sun, 09 Sep 2001 01:46:%d GMT" % second


def test_the_same_object_stays_until_the_second_changes():
    fields = DefaultFields()
    lines = DefaultLines(fields)
    before = lines.variants
    assert lines.variants is before
    fields.refresh(NOON)
    assert lines.variants is not before


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [DATE_LINE, b"server: katana-asgi"]),
        ({"date": False}, [b"server: katana-asgi"]),
        ({"server": None}, [DATE_LINE]),
        ({"server": None, "date": False}, []),
        ({"further": [(b"X-A", b"1")]}, [DATE_LINE, b"server: katana-asgi", b"x-a: 1"]),
        ({"further": [(b"Server", b"mine")]}, [DATE_LINE, b"server: mine"]),
        ({"further": [(b"DATE", b"never")]}, [b"server: katana-asgi", b"date: never"]),
    ],
)
def test_default_fields_are_those_of_the_settings(settings, expected):
    fields = DefaultFields(**settings)
    lines = DefaultLines(fields)
    fields.refresh(NOON)
    for end, last in zip((PERSISTENT, KEEP_ALIVE, CLOSE), ENDS, strict=True):
        assert lines.variants[end] == b"".join([each + b"\r\n" for each in expected]) + last
    assert [b"%b: %b" % pair for pair in fields.pairs()] == expected


def test_what_the_application_sends_is_left_out():
    fields = DefaultFields(further=[(b"x", b"1")])
    lines = DefaultLines(fields)
    fields.refresh(NOON)
    for own, end in product(range(4), (PERSISTENT, KEEP_ALIVE, CLOSE)):
        made = lines.variants[own + end]
        assert (b"date: " in made) is not bool(own & DATE)
        assert (b"server: " in made) is not bool(own & SERVER)
        assert b"x: 1\r\n" in made
        assert (b"connection: close\r\n" in made) is (end == CLOSE)


def test_fields_that_are_named_are_left_out():
    fields = DefaultFields(further=[(b"X", b"1"), (b"Y", b"2")])
    fields.refresh(NOON)
    some = DefaultLines(fields, frozenset({b"x"}))
    assert some.variants[0] == DATE_LINE + b"\r\nserver: katana-asgi\r\ny: 2\r\n\r\n"
    without = some.without(frozenset({b"server", b"y"}), CLOSE)
    assert without == DATE_LINE + b"\r\nconnection: close\r\n\r\n"
    assert fields.pairs(SERVER | DATE, frozenset({b"y"})) == [(b"x", b"1")]
