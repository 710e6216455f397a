"""Tokens, hosts and lists (RFC 9110 §5.6, §7.2)."""

from __future__ import annotations

import pytest

from katana_asgi.http.dates import http_date
from katana_asgi.http.fields import (
    FORBIDDEN_IN_TRAILERS,
    is_token,
    is_valid_host,
    list_members,
)
from katana_asgi.http.forwarded import FORWARDED_FIELDS
from katana_asgi.http.status import reason_phrase


@pytest.mark.parametrize("token", [b"a", b"A-1", b"!#$%&'*+-.^_`|~09azAZ"])
def test_tokens(token):
    assert is_token(token)


@pytest.mark.parametrize("other", [b"", b"a b", b"a:", b"(a)", b'"a"', b"a\x00", b"\xe9", b"a\n"])
def test_no_tokens(other):
    assert not is_token(other)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a",
        b"example.com",
        b"EXAMPLE.com:80",
        b"example.com.",
        b"a:",
        b"a:0",
        b"a:65535",
        b"127.0.0.1:8000",
        b"[::1]",
        b"[::1]:80",
        b"[2001:db8::192.0.2.1]",
        b"a_b",
        b"xn--9ca.example",
        b"a%20b",
        b"a!$&'()*+,;=~",
    ],
)
def test_valid_hosts(host):
    assert is_valid_host(host)


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a@b",
        b"user:pass@a",
        b"a:b",
        b"a:-1",
        b"a:65536",
        b"a:999999",
        b"a:80:80",
        b"::1",
        b"[::1",
        b"[]",
        b"[::g]",
        b"[1.2.3.4]",
        b"[::1]x",
        b"[::1]:x",
        b"[v1.a]",
        b"[fe80::1%25eth0]",
        b"a%2",
        b"a%zz",
        b"a\\b",
        b"a<b>",
        b"a\x00",
        b"\xe9",
        b"a\n",
        b"http://a",
        b":",
        b":80",
    ],
)
def test_invalid_hosts(host):
    assert not is_valid_host(host)


@pytest.mark.parametrize(
    "name",
    [b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"],
)
def test_what_decides_anything_for_the_server_is_forbidden_in_trailers(name):
    assert name in FORBIDDEN_IN_TRAILERS
    assert FORWARDED_FIELDS < FORBIDDEN_IN_TRAILERS


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"", []),
        (b" , ,", []),
        (b"Close", [b"close"]),
        (b"a, B ,\tc", [b"a", b"b", b"c"]),
        (b"a b,c", [b"a b", b"c"]),
    ],
)
def test_lists_are_split_trimmed_and_lower_cased(value, members):
    assert list_members(value) == members


def test_dates_are_imf_fixdate():
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(0.9) == b"Thu, 01 Jan 1970 00:00:00 GMT"


def test_reason_phrases_are_those_of_the_registry_or_empty():
    assert reason_phrase(200) == b"OK"
    assert reason_phrase(431) == b"Request Header Fields Too Large"
    assert reason_phrase(299) == reason_phrase(999) == b""


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (413, b"Content Too Large"),
        (414, b"URI Too Long"),
        (416, b"Range Not Satisfiable"),
        (422, b"Unprocessable Content"),
    ],
)
def test_reason_phrases_are_those_of_rfc_9110_on_every_python(status, phrase):
    assert reason_phrase(status) == phrase
