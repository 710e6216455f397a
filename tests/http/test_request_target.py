"""The four forms of a request target (RFC 9112 §3.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.target import parse_target


def status_of(target: bytes, method: str = "GET") -> int:
    with pytest.raises(RemoteProtocolError) as raised:
        parse_target(target, method)
    return raised.value.status


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a/b?c=d&e", "/a/b", b"/a/b", b"c=d&e"),
        (b"/?", "/", b"/", b""),
        (b"/??", "/", b"/", b"?"),
        (b"/a%2Fb", "/a/b", b"/a%2Fb", b""),
        (b"/%E2%82%AC", "/€", b"/%E2%82%AC", b""),
        (b"/%80", "/\ufffd", b"/%80", b""),
        (b"/%", "/%", b"/%", b""),
        (b"/%4", "/%4", b"/%4", b""),
        (b"/+", "/+", b"/+", b""),
        (b"//x", "//x", b"//x", b""),
        (b"/http://x", "/http://x", b"/http://x", b""),
    ],
)
def test_origin_form(target, path, raw_path, query):
    assert parse_target(target, "GET") == (path, raw_path, query, None)


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query", "authority"),
    [
        (b"http://a", "/", b"/", b"", b"a"),
        (b"http://a/", "/", b"/", b"", b"a"),
        (b"HTTPS://a:8/x%20y?q", "/x y", b"/x%20y", b"q", b"a:8"),
        (b"http://a?q", "/", b"/", b"q", b"a"),
        (b"http://[::1]:80/b", "/b", b"/b", b"", b"[::1]:80"),
    ],
)
def test_absolute_form(target, path, raw_path, query, authority):
    assert parse_target(target, "GET") == (path, raw_path, query, authority)


def test_asterisk_form_is_for_options():
    assert parse_target(b"*", "OPTIONS") == ("*", b"*", b"", None)
    assert parse_target(b"http://a", "OPTIONS") == ("*", b"*", b"", b"a")
    assert parse_target(b"http://a/", "OPTIONS") == ("/", b"/", b"", b"a")
    assert parse_target(b"http://a?q", "OPTIONS") == ("/", b"/", b"q", b"a")
    assert status_of(b"*") == 400
    assert status_of(b"**", "OPTIONS") == 400


@pytest.mark.parametrize("target", [b"a:443", b"/", b"*", b"http://a/"])
def test_connect_is_not_supported(target):
    assert status_of(target, "CONNECT") == 501


@pytest.mark.parametrize(
    "target",
    [
        b"a",
        b"a/b",
        b"?q",
        b"a:443",
        b"/a#b",
        b"#",
        b"http://a/#b",
        b"http:///a",
        b"http://",
        b"http://:80/",
        b"http://u@a/",
        b"http://u:p@a/",
        b"http://a b/",
        b"http://a:99999/",
        b"http:/a",
        b"ftp://a/",
        b"javascript:x",
        b"\\",
    ],
)
def test_any_other_target_is_400(target):
    assert status_of(target) == 400


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
    st.sampled_from(["GET", "OPTIONS"]),
)
def test_whatever_is_accepted_is_a_path(text, method):
    try:
        path, raw_path, query, _ = parse_target(text.encode(), method)
    except RemoteProtocolError:
        return
    assert path == "*" or path[0] == "/"
    assert raw_path == b"*" or raw_path[:1] == b"/"
    assert b"?" not in raw_path
    assert b"#" not in raw_path + query
