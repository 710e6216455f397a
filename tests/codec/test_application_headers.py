"""The headers of an application: what is taken, what is dropped, what raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.codec import DATE, SERVER, check_fields, render_head
from katana_asgi.errors import LocalProtocolError


def test_names_are_lower_cased_and_values_trimmed():
    fields = check_fields([(b"X-A", b" 1\t"), (b"x-b", b""), (b"X-a", b"2 3")])
    assert fields.pairs == ((b"x-a", b"1"), (b"x-b", b""), (b"x-a", b"2 3"))


@pytest.mark.parametrize("name", [b"Transfer-Encoding", b"connection", b"Keep-Alive", b"upgrade"])
def test_fields_of_the_connection_are_left_to_the_server(name):
    fields = check_fields([(name, b"x"), (b"a", b"b")])
    assert fields.pairs == ((b"a", b"b"),)
    assert fields.close is False


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close"])
def test_connection_close_is_a_wish(value):
    fields = check_fields([(b"Connection", value)])
    assert fields.close is True
    assert fields.pairs == ()
    assert check_fields([(b"x", b"close")]).close is False


def test_content_length_is_known_and_kept_once():
    fields = check_fields([(b"Content-Length", b"5"), (b"content-length", b" 5 ")])
    assert fields.content_length == 5
    assert fields.pairs == ((b"content-length", b"5"),)


@pytest.mark.parametrize(
    "values", [[b""], [b"x"], [b"+1"], [b"-1"], [b"1,1"], [b"\xb2"], [b"1" * 19], [b"1", b"2"]]
)
def test_a_bad_content_length_raises(values):
    with pytest.raises(LocalProtocolError):
        check_fields([(b"content-length", value) for value in values])


def test_date_and_server_are_noticed():
    assert check_fields([]).own == 0
    assert check_fields([(b"Date", b"x")]).own == DATE
    assert check_fields([(b"SERVER", b"x")]).own == SERVER
    assert check_fields([(b"server", b"x"), (b"date", b"y")]).own == DATE | SERVER


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\n", b"\xe9", b"a\x00", b"(a)"])
def test_a_name_that_is_no_token_raises(name):
    with pytest.raises(LocalProtocolError, match="invalid header name"):
        check_fields([(name, b"1")])


@pytest.mark.parametrize("code", [*range(0x09), *range(0x0A, 0x20), 0x7F])
def test_a_value_with_a_control_byte_raises(code):
    with pytest.raises(LocalProtocolError, match="invalid value"):
        check_fields([(b"a", b"x%cy" % code)])


@pytest.mark.parametrize("name", [b"transfer-encoding", b"connection", b"content-length"])
def test_fields_that_are_dropped_are_checked_all_the_same(name):
    with pytest.raises(LocalProtocolError):
        check_fields([(name, b"x\r\ny: z")])


@pytest.mark.parametrize(
    "pair", [("a", b"1"), (b"a", "1"), (b"a", 1), (b"a", None), (bytearray(b"a"), b"1")]
)
def test_anything_but_bytes_raises(pair):
    with pytest.raises(TypeError, match="must be bytes"):
        check_fields([pair])


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3))
def test_whatever_passes_is_one_line_each(pairs):
    try:
        fields = check_fields(pairs)
    except LocalProtocolError:
        return
    rendered = render_head(b"", fields, None, b"\r\n", b"")
    lines = rendered.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert len(lines) == len(fields.pairs) + 2
    assert all(b": " in line for line in lines[:-2])
    assert b"\r" not in rendered.replace(b"\r\n", b"")
    assert b"\n" not in rendered.replace(b"\r\n", b"")
