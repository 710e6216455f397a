"""What a head means for framing and persistence (RFC 9112 §3, §6, §9; RFC 9110 §10.1.1)."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import pytest

from katana_asgi.codec import CHUNKED, EXPECT_CONTINUE, KEEP_ALIVE, UPGRADE, check_sizes
from katana_asgi.codec.framing import judge
from katana_asgi.codec.heads import check_field_bytes, split_request_line
from katana_asgi.errors import RemoteProtocolError
from tests.http1.reads import BACK_ENDS, whole_scanner

LIMITS = (1000, 10000, 100)

SCANNERS = [pytest.param(whole_scanner(name), id=name) for name in BACK_ENDS]


def status_of(call, *arguments) -> int:
    """The status that a refused argument deserves."""
    with pytest.raises(RemoteProtocolError) as raised:
        call(*arguments)
    return raised.value.status


# -- the request line


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"GET / HTTP/1.1", ("GET", b"/", "1.1")),
        (b"get /a?b=c HTTP/1.0", ("get", b"/a?b=c", "1.0")),
        (b"!#$%&'*+-.^_`|~ * HTTP/1.1", ("!#$%&'*+-.^_`|~", b"*", "1.1")),
    ],
)
def test_a_request_line_has_three_parts(line, parts):
    assert split_request_line(line) == parts


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / http/1.1",
        b"GET / HTTP/11",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1.",
        b"GET / HTTPS/1.1",
        b"G\xc4T / HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1\xb2.1",
    ],
)
def test_any_other_request_line_is_400(line):
    assert status_of(split_request_line, line) == 400


@pytest.mark.parametrize("version", [b"1.2", b"1.9"])
def test_a_later_minor_version_is_served_as_1_1(version):
    assert split_request_line(b"GET / HTTP/" + version)[2] == "1.1"


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"2.1", b"3.0", b"9.9"])
def test_another_major_version_is_505(version):
    assert status_of(split_request_line, b"GET / HTTP/" + version) == 505


# -- bytes of field lines


@pytest.mark.parametrize("lines", [b"\r\n", b"a: b\r\n", b"a: \xff\t b\r\nc:\r\n"])
def test_field_lines_may_have_visible_bytes_spaces_and_obs_text(lines):
    check_field_bytes(lines)


@pytest.mark.parametrize(
    "lines",
    [b"a\rb\r\n", b"a\n", b"a\r\n b\r\n", b"a\r\n\tb\r\n", b" a\r\n", b"a\r", b"\n\r", b"a\r\r\n\n"]
    + [b"a: %c\r\n" % code for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F)],
)
def test_field_lines_may_have_nothing_else(lines):
    assert status_of(check_field_bytes, lines) == 400


# -- what the fields say together


class Framing(NamedTuple):
    """What ``judge`` says, bit by bit."""

    keep_alive: bool
    chunked: bool
    expect_continue: bool
    upgrade: bool
    content_length: int | None
    forwarded: tuple[int, ...]


def framing(*fields: tuple[bytes, bytes], version: str = "1.1", host: bool = True) -> Framing:
    bits, length, forwarded = judge([(b"host", b"a")] * host + list(fields), version)
    said = [bool(bits & bit) for bit in (KEEP_ALIVE, CHUNKED, EXPECT_CONTINUE, UPGRADE)]
    return Framing(*said, length, forwarded)


@pytest.mark.parametrize(
    ("version", "value", "keep_alive"),
    [
        ("1.1", None, True),
        ("1.1", b"close", False),
        ("1.1", b"Close, x", False),
        ("1.1", b"keep-alive", True),
        ("1.1", b"keep-alive, close", False),
        ("1.0", None, False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"x ,keep-alive", True),
        ("1.0", b"keep-alive,close", False),
        ("1.0", b"x", False),
    ],
)
def test_close_wins_over_keep_alive_and_both_over_the_version(version, value, keep_alive):
    fields = [] if value is None else [(b"connection", value)]
    assert framing(*fields, version=version).keep_alive is keep_alive


def test_connection_may_come_in_several_lines():
    both = framing((b"connection", b"keep-alive"), (b"connection", b"close"))
    assert both.keep_alive is False


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"007", 7), (b"1" * 18, int("1" * 18))])
def test_content_length_is_digits(value, length):
    found = framing((b"content-length", value))
    assert (found.content_length, found.chunked) == (length, False)


@pytest.mark.parametrize(
    "value", [b"", b"+1", b"-1", b" 1", b"1 ", b"1,1", b"0x1", b"1.0", b"\xb2", b"1" * 19, b"1\n"]
)
def test_any_other_content_length_is_400(value):
    assert status_of(framing, (b"content-length", value)) == 400


@pytest.mark.parametrize("name", [b"content-length", b"host", b"transfer-encoding"])
def test_fields_that_decide_framing_or_routing_come_once(name):
    """Two lines of Transfer-Encoding are one list (RFC 9110 §5.3), and chunked twice is none."""
    value = {b"content-length": b"1", b"host": b"a", b"transfer-encoding": b"chunked"}[name]
    fields = [(name, value)] * (1 if name == b"host" else 2)
    assert status_of(framing, *fields) == 400


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked_is_the_one_transfer_coding(value):
    found = framing((b"transfer-encoding", value))
    assert (found.chunked, found.content_length) == (True, None)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"gzip, chunked", 501),
        (b"gzip", 400),
        (b"identity", 400),
        (b"", 400),
        (b",", 400),
        (b"chunked, chunked", 400),
        (b"chunked, gzip", 400),
        (b"xchunked", 400),
        (b"chunked;x=1", 400),
        (b'"chunked"', 400),
    ],
)
def test_any_other_transfer_coding_is_refused(value, status):
    assert status_of(framing, (b"transfer-encoding", value)) == status


def test_both_framings_and_chunked_in_1_0_are_400():
    chunked = (b"transfer-encoding", b"chunked")
    assert status_of(framing, chunked, (b"content-length", b"1")) == 400
    assert status_of(lambda: framing(chunked, version="1.0")) == 400


def test_host_is_needed_in_1_1_only():
    assert status_of(lambda: framing(host=False)) == 400
    assert framing(host=False, version="1.0").keep_alive is False


def test_expect_asks_for_100_where_the_client_can_read_one():
    expect = (b"expect", b"100-Continue")
    assert framing(expect).expect_continue is True
    assert framing(expect, version="1.0").expect_continue is False
    assert status_of(framing, (b"expect", b"something")) == 417
    assert framing(expect, expect).expect_continue is True


def test_an_expectation_that_is_known_may_be_repeated_and_stand_in_a_list():
    known = b"100-continue"
    assert framing((b"expect", known), (b"expect", b"100-Continue,")).expect_continue is True
    assert status_of(framing, (b"expect", known), (b"expect", b"x")) == 417
    assert status_of(framing, (b"expect", b"100-continue, x")) == 417


def test_upgrade_counts_where_connection_names_it():
    upgrade = (b"upgrade", b"websocket")
    assert framing(upgrade).upgrade is False
    assert framing((b"connection", b"upgrade")).upgrade is False
    assert framing(upgrade, (b"connection", b"Upgrade, x")).upgrade is True


@pytest.mark.parametrize("name", [b"forwarded", b"x-forwarded-for", b"x-forwarded-proto"])
def test_forwarding_fields_are_noticed(name):
    assert framing((b"x", b"y"), (name, b"x")).forwarded == (2,)
    assert framing((b"x-forward", b"x")).forwarded == ()


# -- whole heads


@pytest.mark.parametrize("scan", SCANNERS)
def test_a_whole_head_becomes_a_request(scan):
    raw = (
        b"POST http://b:8/p%20q?r=s HTTP/1.1\r\nX-A:1\r\nHOST: a\r\nx-a:\t 2 \t\r\n"
        b"Content-Length: 3\r\n\r\n"
    )
    head, framing = scan(raw, *LIMITS)
    assert (head.method, head.target, head.version) == ("POST", b"http://b:8/p%20q?r=s", "1.1")
    assert (head.path, head.raw_path, head.query) == ("/p q", b"/p%20q", b"r=s")
    assert head.fields == [
        (b"x-a", b"1"),
        (b"host", b"b:8"),
        (b"x-a", b"2"),
        (b"content-length", b"3"),
    ]
    assert (head.content_length, head.has_content, framing) == (3, True, KEEP_ALIVE)


@pytest.mark.parametrize("scan", SCANNERS)
def test_an_http_1_0_head_needs_no_field(scan):
    head, framing = scan(b"GET / HTTP/1.0\r\n\r\n", *LIMITS)
    assert (head.fields, head.has_content, framing) == ([], False, 0)


@pytest.mark.parametrize("scan", SCANNERS)
@pytest.mark.parametrize("method", ["GET", "M-SEARCH", "PRI", "get", "X_Y", "SOURCE", "QUERY"])
def test_any_method_that_is_a_token_is_taken(scan, method):
    head, _ = scan(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode(), *LIMITS)
    assert head.method == method


# -- limits


def limited(head: bytes, line: int = 1000, size: int = 1000, count: int = 10) -> int | None:
    """The status of a head, or its beginning, that is over a limit; ``None``: it is not."""
    end = head.find(b"\r\n")
    try:
        check_sizes(head, end, head.count(b"\n", end), line, size, count)
    except RemoteProtocolError as error:
        return error.status
    return None


def test_each_limit_allows_what_it_says_and_not_one_more():
    line = b"GET / HTTP/1.1"
    head = line + b"\r\nA: 1\r\nB: 2\r\n\r\n"
    assert limited(head, line=len(line)) is None
    assert limited(head, line=len(line) - 1) == 414
    assert limited(head, size=len(head) - len(line)) is None
    assert limited(head, size=len(head) - len(line) - 1) == 431
    assert limited(head, count=2) is None
    assert limited(head, count=1) == 431


def test_limits_hold_for_beginnings():
    assert limited(b"x" * 1000) is None
    assert limited(b"GET /" + b"x" * 997) == 414
    assert limited(b"x" * 1002) == 501
    assert limited(b"GET / HTTP/1.1\r\n" + b"x" * 1000) == 431
    assert limited(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12) == 431


# -- work


@pytest.mark.parametrize(
    "line",
    [
        b"A:" + b" " * 500_000 + b"\x00",
        b"A: b" + b" " * 500_000 + b"\x00",
        b"A: " + b"b " * 250_000 + b"\x00",
        b"A: b\t" + b" " * 500_000 + b"c",
        b"A:\tb\r\nHost: b\r\n" + b"c" * 500_000,
    ],
    ids=["spaces", "spaces-behind", "words", "spaces-within", "no-colon"],
)
@pytest.mark.parametrize("scan", SCANNERS)
def test_no_field_line_costs_the_square_of_its_length(line, scan):
    """What did would take minutes here, and the test be timed out."""
    with suppress(RemoteProtocolError):
        scan(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n", 1000, 2**20, 100)
