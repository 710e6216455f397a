"""Response fields: C and Python check and write the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from katana_asgi import codec
from katana_asgi.codec import DATE, SERVER, fields
from katana_asgi.errors import LocalProtocolError
from tests.amounts import examples
from tests.codec.twins import NATIVE, native_only, outcome

USUAL = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))


def told(checked):
    if not hasattr(checked, "pairs"):
        return checked
    assert checked.wire is None
    return checked.pairs, checked.content_length, checked.own, checked.close


def check(headers):
    """What the codec makes of headers, after both of its forms agreed."""
    twin = told(outcome(fields.check_fields, headers))
    assert told(outcome(codec.check_fields, headers)) == twin
    if NATIVE is not None:
        native = NATIVE.check_fields(headers)
        assert native is None or told(native) == twin
    return twin


NAMES = st.sampled_from(
    [
        b"content-type",
        b"Content-Type",
        b"CONTENT-LENGTH",
        b"content-length",
        b"Date",
        b"server",
        b"Connection",
        b"Keep-Alive",
        b"te",
        b"trailer",
        b"Transfer-Encoding",
        b"upgrade",
        b"Proxy-Connection",
        b"x-mine",
        b"X-Mine-" + b"y" * 70,
    ]
)
VALUES = st.sampled_from(
    [b"", b"a", b" a\t", b"7", b"07", b"close", b"x, Close ,", b"\xe4\xff", b"a\tb", b"0" * 40]
)
PAIRS = st.tuples(NAMES, VALUES)
ODD_NAMES = st.sampled_from([b"", b"a b", b"a:", b"\xe4", "text", None]) | st.binary(max_size=5)
ODD_VALUES = st.sampled_from(
    [b"a\r\nb", b"\n", b"\0", b"a\x7f", b"12345678901234567890", b"-1", "text", None, 7]
) | st.binary(max_size=30)
ODD_PAIRS = st.one_of(
    st.tuples(NAMES | ODD_NAMES, VALUES | ODD_VALUES),
    st.sampled_from([(), (b"a",), (b"a", b"b", b"c"), b"ab", 1]),
)


@USUAL
@given(st.lists(PAIRS | PAIRS.map(list), max_size=12))
@example([(b"content-length", b"7"), (b"content-length", b"07")])
def test_usual_headers_are_the_same_to_both(headers):
    check(headers)
    check(tuple(headers))


@USUAL
@given(st.lists(PAIRS | ODD_PAIRS, max_size=5))
def test_odd_headers_are_the_same_to_both(headers):
    check(headers)


@native_only
def test_usual_headers_are_never_declined():
    headers = [[b"Content-Type", b"text/html"], (b"x-a", b" b "), (b"content-length", b"1")]
    assert NATIVE.check_fields(headers) is not None
    assert NATIVE.check_fields(tuple(headers)) is not None
    assert NATIVE.check_fields([]) is not None


def test_any_iterable_of_any_pairs_will_do():
    checked = codec.check_fields({b"A": b"b", b"C": b"d"}.items())
    assert checked.pairs == ((b"a", b"b"), (b"c", b"d"))
    assert type(checked) is type(codec.check_fields([]))


def test_fields_are_checked_and_what_is_the_server_s_is_left_out():
    headers = [
        (b"Content-Type", b" text/plain\t"),
        (b"Connection", b"close"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x"),
        (b"Content-Length", b"5"),
        (b"Content-Length", b"5"),
        (b"Date", b"now"),
        (b"Server", b"mine"),
    ]
    assert check(headers) == (
        (
            (b"content-type", b"text/plain"),
            (b"trailer", b"x"),
            (b"content-length", b"5"),
            (b"date", b"now"),
            (b"server", b"mine"),
        ),
        5,
        DATE | SERVER,
        True,
    )


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        ((b"a b", b""), LocalProtocolError),
        ((b"", b""), LocalProtocolError),
        ((b"a", b"\r\nSet-Cookie: x"), LocalProtocolError),
        ((b"content-length", b"x"), LocalProtocolError),
        (("a", b""), TypeError),
        ((b"a", 1), TypeError),
    ],
)
def test_what_is_wrong_is_an_error(pair, error):
    with pytest.raises(error):
        codec.check_fields([pair])


@native_only
def test_a_pair_that_is_right_already_is_kept():
    pair = (b"a", b"b")
    assert NATIVE.check_fields([pair]).pairs[0] is pair


@native_only
def test_headers_that_change_while_they_are_checked_are_no_danger():
    headers = [(b"a", b"b")] * 100

    class Shortening(list):
        def __iter__(self):
            yield b"x"
            headers.clear()
            yield b"y"

    headers[50] = Shortening()
    assert told(codec.check_fields(headers))[0] == ((b"a", b"b"),) * 50 + ((b"x", b"y"),)


# -- and written

LINES = st.binary(max_size=30)


@USUAL
@given(
    LINES,
    st.lists(st.tuples(LINES, LINES), max_size=6),
    st.none() | st.integers(0, 2**63 - 1),
    LINES,
    st.binary(max_size=200),
)
def test_both_write_the_same_head(first, pairs, length, last, content):
    twin = fields.ResponseFields(tuple(pairs))
    expected = fields.render_head(first, twin, length, last, content)
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in pairs)
    lines += b"" if length is None else b"content-length: %d\r\n" % length
    assert expected == first + lines + last + content
    chosen = codec.ResponseFields(tuple(pairs))
    assert codec.render_head(first, chosen, length, last, content) == expected
    assert codec.render_head(first, chosen, length, last, memoryview(content)) == expected
    assert codec.render_head(first, chosen, length, last, bytearray(content)) == expected


def test_fields_have_a_place_for_what_a_version_makes_of_them():
    made = codec.ResponseFields()
    assert told(made) == ((), None, 0, False)
    made.wire = [made]
    assert made.wire == [made]
    assert told(codec.ResponseFields(((b"a", b"b"),), 3, DATE, True)) is not None


@native_only
@pytest.mark.parametrize(
    "arguments",
    [
        ([],),
        (((b"a",),),),
        (((b"a", "b"),),),
        (([b"a", b"b"],),),
        ((), None, "x"),
        ((), None, 0, 1),
    ],
)
def test_native_fields_are_pairs_of_bytes(arguments):
    with pytest.raises(TypeError):
        NATIVE.ResponseFields(*arguments)


@native_only
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("", NATIVE and NATIVE.ResponseFields(), None, b"", b""),
        (b"", fields.ResponseFields(), None, b"", b""),
        (b"", NATIVE and NATIVE.ResponseFields(), "1", b"", b""),
        (b"", NATIVE and NATIVE.ResponseFields(), None, "", b""),
        (b"", NATIVE and NATIVE.ResponseFields(), None, b"", ""),
    ],
)
def test_other_things_cannot_be_written(arguments):
    with pytest.raises(TypeError):
        NATIVE.render_head(*arguments)
