"""One field of a list, and text that needs no escape: the same from C and from Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.codec.values import field_value, printable
from tests.codec.twins import NATIVE, native_only

FORMS = [field_value, pytest.param(NATIVE and NATIVE.field_value, marks=native_only)]
NAMES = st.sampled_from([b"a", b"b", b"ab", b"if-none-match"])


@pytest.mark.parametrize("form", FORMS)
def test_lines_of_one_name_are_one_list(form):
    fields = [(b"a", b"1"), (b"accept", b"x"), (b"a", b""), (b"a", b"2")]
    assert form(fields, b"accept") == b"x"
    assert form(fields, b"a") == b"1, , 2"
    assert form(fields, b"b") is None
    assert form([], b"a") is None


@native_only
@given(fields=st.lists(st.tuples(NAMES, st.binary(max_size=3)), max_size=6), name=NAMES)
def test_both_forms_find_the_same(fields, name):
    assert NATIVE.field_value(fields, bytes(bytearray(name))) == field_value(fields, name)


@native_only
@pytest.mark.parametrize("arguments", [([],), ((), b"a"), ([], "a"), ([], b"a", b"b")])
def test_other_arguments_are_errors(arguments):
    with pytest.raises(TypeError, match="a list of fields and a name"):
        NATIVE.field_value(*arguments)


@native_only
@pytest.mark.parametrize("member", [None, (b"a",), ("a", b"1"), [b"a", b"1"]])
def test_what_is_no_field_is_passed_over(member):
    assert NATIVE.field_value([member, (b"a", b"1")], b"a") == b"1"


@native_only
@given(st.binary(max_size=8) | st.text("ab /~ !", max_size=8).map(str.encode))
def test_both_forms_print_the_same(data):
    assert NATIVE.printable(data) == printable(data)


@pytest.mark.parametrize("code", range(256))
def test_only_printable_ascii_without_quotes_is_plain(code):
    data = b"a" + bytes([code])
    plain = 0x20 <= code < 0x7F and chr(code) not in '"\\'
    assert printable(data) == (data.decode("latin-1") if plain else None)


@native_only
def test_text_is_no_bytes():
    with pytest.raises(TypeError, match="takes bytes"):
        NATIVE.printable("a")
