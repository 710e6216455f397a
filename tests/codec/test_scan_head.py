"""Request heads: C, Python, httptools and h11 accept, refuse and produce the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from katana_asgi import codec
from katana_asgi.codec import CHUNKED, EXPECT_CONTINUE, KEEP_ALIVE, TRAILERS, UPGRADE
from katana_asgi.errors import RemoteProtocolError
from tests.amounts import examples
from tests.codec.twins import NATIVE, attributes, head_of, native_only, outcome, scans
from tests.wire.corpus import CASES

LIMITS = (1000, 8000, 64)

USUAL = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))


def scan(head: bytes, limits: tuple[int, int, int] = LIMITS):
    """What the codec makes of a head, after all ways to scan it agreed."""
    found = scans(head, limits)
    native = found.pop("native", None)
    first = found["python"]
    assert found == dict.fromkeys(found, first)
    if native is not None:
        assert native == first
    chosen = outcome(codec.scan_head, head, *limits)
    if isinstance(chosen, tuple):
        chosen = attributes(chosen[0]), chosen[1]
    assert chosen == first
    return first


# -- heads as clients send them: never declined

METHODS = st.sampled_from(["GET", "POST", "HEAD", "get", "PROPFIND", "M-SEARCH", "!#$%&'*"])
PATHS = st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=20).map(lambda text: "/" + text)
ESCAPES = st.sampled_from(
    ["", "%20", "%c3%a4", "%c3%a4/%E2%82%AC", "%", "%zz", "%ff%00", "%4", "?"]
)
TARGETS = st.tuples(PATHS, ESCAPES, PATHS).map("".join)

HOSTS = st.sampled_from(
    [
        "a",
        "",
        "www.example.com:8000",
        "192.0.2.1",
        "[::1]:80",
        "[2001:db8::192.0.2.33]",
        "a_b.%41:",
        "x!$&'()*+,;=~",
    ]
)
NAMES = st.sampled_from(
    ["Accept", "COOKIE", "user-agent", "X-Unknown", "x" * 80, "X-Forwarded-For", "Forwarded"]
) | st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12).map("X-".__add__)
VALUES = st.one_of(
    st.just(b""),
    st.binary(max_size=40).map(lambda data: bytes(b for b in data if b >= 0x20 and b != 0x7F)),
    st.sampled_from([b"  spaces  ", b"\tt\ta\tb\t", b"a" * 300, b"\xff\x80", b"a:b", b" "]),
)
PLAIN_FIELDS = st.lists(
    st.tuples(NAMES.map(str.encode), VALUES).map(lambda pair: b"%b:%b" % pair), max_size=30
)
SPECIAL_FIELDS = st.sampled_from(
    [
        [],
        [b"Content-Length: 0"],
        [b"content-length:  17\t"],
        [b"Content-Length: 000000000000000042"],
        [b"Transfer-Encoding: Chunked"],
        [b"Connection: close"],
        [b"Connection: Keep-Alive, , x", b"connection: CLOSE"],
        [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"],
        [b"Upgrade: websocket"],
        [b"Expect: 100-continue", b"Content-Length: 5"],
        [b"Expect: 100-continue, 100-CONTINUE,", b"Expect:\t100-Continue"],
        [b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https", b"Forwarded: for=192.0.2.1"],
    ]
)


@st.composite
def usual_heads(draw: st.DrawFn) -> bytes:
    """Heads of HTTP/1.1 and 1.0 in origin-form that are right in every way."""
    version = draw(st.sampled_from(["1.1", "1.1", "1.0", "1.3"]))
    line = f"{draw(METHODS)} {draw(TARGETS)} HTTP/{version}"
    fields = [f"Host: {draw(HOSTS)}".encode()]
    special = draw(SPECIAL_FIELDS)
    if version != "1.0" or b"Transfer-Encoding: Chunked" not in special:
        fields += special
    fields = draw(st.permutations(fields)) + draw(PLAIN_FIELDS)
    return b"\r\n".join([line.encode(), *fields, b"", b""])


@USUAL
@given(usual_heads())
def test_usual_heads_are_the_same_to_all_and_accepted(head):
    assert isinstance(scan(head), tuple)


@native_only
@USUAL
@given(usual_heads())
def test_usual_heads_are_never_declined(head):
    assert NATIVE.scan_head(head, *LIMITS) is not None


@native_only
@USUAL
@given(heads=st.lists(usual_heads(), min_size=1, max_size=3), rest=st.binary(max_size=20))
def test_usual_heads_are_found_one_after_the_other(heads, rest):
    data = b"".join(heads) + rest
    start = 0
    for head in heads:
        *found, following = NATIVE.scan_next(data, start, *LIMITS)
        assert following == start + len(head)
        alone, framing = codec.scan_head(head, *LIMITS)
        assert (attributes(found[0]), found[1]) == (attributes(alone), framing)
        start = following


@native_only
@given(data=st.binary(max_size=30) | st.builds(bytes.__add__, usual_heads(), st.binary(max_size=9)))
def test_what_is_found_is_what_the_twin_finds(data):
    for start in (0, 1, len(data), len(data) + 1):
        found = NATIVE.scan_next(data, start, *LIMITS)
        if found is not None:
            twin = codec.heads.scan_next(data, start, *LIMITS)
            assert (attributes(found[0]), found[1:]) == (attributes(twin[0]), twin[1:])
    assert NATIVE.scan_next(data, -1, *LIMITS) is None


# -- and everything else

BROKEN = st.sampled_from(
    [
        b"Host: b",
        b"Host : a",
        b"Host: a b",
        b"Host: :80",
        b"Host: a:65536",
        b"Host: [::1",
        b"Host: [1:2]",
        b"Host: [::1%25eth0]",
        b"Content-Length: 5",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length:",
        b"Content-Length: 1000000000000000000",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: chunked",
        b"Expect: x",
        b"Expect:",
        b" folded",
        b"\tfolded",
        b"no colon",
        b": no name",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x00b",
        b"X: \x7f",
        b"\xc4: x",
        b"",
    ]
)
LINES = st.sampled_from(
    [
        b"GET http://b/c?d HTTP/1.1",
        b"GET HTTPS://b HTTP/1.1",
        b"GET http:///c HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"OPTIONS http://b HTTP/1.1",
        b"GET * HTTP/1.1",
        b"CONNECT a:80 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /?a#b HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.10",
        b"GET / http/1.1",
        b"GET /\xe4 HTTP/1.1",
        b"GET /",
        b"G\x00T / HTTP/1.1",
        b"",
    ]
)


@st.composite
def odd_heads(draw: st.DrawFn) -> bytes:
    """Usual heads with a wrong line, or wrong bytes, in them."""
    lines = draw(usual_heads())[:-4].split(b"\r\n")
    if draw(st.booleans()):
        lines[0] = draw(LINES)
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(1, len(lines))), draw(BROKEN))
    head = b"\r\n".join([*lines, b"", b""])
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(head)))
        head = head[:at] + draw(st.binary(max_size=3)) + head[at + draw(st.integers(0, 2)) :]
    return head_of(head)


@settings(USUAL, max_examples=examples(1500))
@given(odd_heads(), st.sampled_from([LIMITS, (20, 100, 3), (0, 0, 0), (10**6, 10**6, 1000)]))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (14, 13, 1))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (13, 13, 1))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (14, 12, 1))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (14, 13, 0))
def test_odd_heads_are_the_same_to_all(head, limits):
    scan(head, limits)


@settings(USUAL, max_examples=examples(300))
@given(st.binary(max_size=60))
def test_any_bytes_are_the_same_to_all(data):
    scan(head_of(data))


@pytest.mark.parametrize(
    "head",
    [
        head_of(b"".join(step for step in case.chunks if isinstance(step, bytes)))
        for case in CASES
        if case.size < 100_000
    ],
)
def test_the_heads_of_the_wire_corpus_are_the_same_to_all(head):
    scan(head)


@native_only
@pytest.mark.parametrize("end", [b"", b"\r", b"\n", b"\r\n", b"\r\n\r", b"\n\n", b"\0\r\n\r"])
def test_what_is_no_whole_head_is_declined(end):
    assert NATIVE.scan_head(b"GET / HTTP/1.1\r\nHost: a" + end, *LIMITS) is None
    assert NATIVE.scan_head(end, *LIMITS) is None
    assert NATIVE.scan_next(b"GET / HTTP/1.1\r\nHost: a" + end, 0, *LIMITS) is None
    assert codec.heads.scan_next(b"GET / HTTP/1.1\r\nHost: a" + end, 0, *LIMITS) is None


@native_only
def test_what_follows_a_head_is_not_its_end_and_not_its_size():
    head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    size = len(head) - len(b"GET / HTTP/1.1")
    for rest in (b"", b"\r\n\r\n", b"x" * 99, b"GET"):
        assert (NATIVE.scan_head(head + rest, *LIMITS) is None) is bool(rest)
        assert NATIVE.scan_next(head + rest, 0, 99, size, 9)[2] == len(head)
        assert NATIVE.scan_next(head + rest, 0, 99, size - 1, 9) is None


@native_only
def test_hundreds_of_fields_are_the_twin_s():
    lines = [b"x-%d: y" % number for number in range(255)]
    head = b"\r\n".join([b"GET / HTTP/1.1", b"host: a", *lines, b"", b""])
    assert NATIVE.scan_head(head, 10**6, 10**6, 10**6) is not None
    head = head[:-2] + b"one: more\r\n\r\n"
    assert NATIVE.scan_head(head, 10**6, 10**6, 10**6) is None
    assert len(codec.scan_head(head, 10**6, 10**6, 10**6)[0].fields) == 257


# -- what is in a head


def test_a_head_says_everything():
    found, framing = scan(
        b"POST /caf%C3%A9/%zz?a=%20 HTTP/1.1\r\nHost: a:80\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"Content-Length: 5\r\nForwarded: for=x\r\n\r\n"
    )
    assert found == {
        "method": "POST",
        "target": b"/caf%C3%A9/%zz?a=%20",
        "version": "1.1",
        "scheme": "",
        "authority": None,
        "path": "/café/%zz",
        "raw_path": b"/caf%C3%A9/%zz",
        "query": b"a=%20",
        "fields": [
            (b"host", b"a:80"),
            (b"x-forwarded-for", b"192.0.2.1"),
            (b"content-length", b"5"),
            (b"forwarded", b"for=x"),
        ],
        "content_length": 5,
        "forwarded": (1, 3),
        "has_content": True,
    }
    assert framing == KEEP_ALIVE


@pytest.mark.parametrize(
    ("line", "fields", "index"),
    [
        (b"GET http://b/c HTTP/1.1", [b"X-Forwarded-For: x", b"Host: a"], 0),
        (b"GET HTTP://b/c HTTP/1.0", [b"X-Forwarded-For: x"], 1),
    ],
)
def test_an_authority_in_the_target_replaces_host(line, fields, index):
    found, _ = scan(b"\r\n".join([line, *fields, b"", b""]))
    assert found["scheme"] == "http"
    assert found["authority"] == b"b"
    assert [value for name, value in found["fields"] if name == b"host"] == [b"b"]
    assert found["forwarded"] == (index,)
    assert found["fields"][index] == (b"x-forwarded-for", b"x")


@pytest.mark.parametrize(
    ("fields", "framing", "length"),
    [
        ([], KEEP_ALIVE, 0),
        ([b"Connection: close"], 0, 0),
        ([b"Transfer-Encoding: chunked"], KEEP_ALIVE | CHUNKED, None),
        ([b"Content-Length: 7"], KEEP_ALIVE, 7),
        ([b"Content-Length: 0"], KEEP_ALIVE, 0),
        ([b"Expect: 100-continue, 100-continue"], KEEP_ALIVE | EXPECT_CONTINUE, 0),
        ([b"Upgrade: h2c"], KEEP_ALIVE, 0),
        ([b"Upgrade: h2c", b"Connection: upgrade"], KEEP_ALIVE | UPGRADE, 0),
        ([b"Connection: upgrade"], KEEP_ALIVE, 0),
        ([b"TE: trailers"], KEEP_ALIVE | TRAILERS, 0),
        ([b"TE: gzip;q=0.5 ,Trailers"], KEEP_ALIVE | TRAILERS, 0),
        ([b"TE: gzip", b"TE: trailers"], KEEP_ALIVE | TRAILERS, 0),
        ([b"TE: trailers;q=1"], KEEP_ALIVE, 0),
    ],
)
def test_few_fields_decide_framing_and_persistence(fields, framing, length):
    found, bits = scan(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *fields, b"", b""]))
    assert bits == framing
    assert found["content_length"] == length
    assert found["has_content"] is (length != 0)


@pytest.mark.parametrize(
    ("head", "limits", "status"),
    [
        (b"G" * 21 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", (20, 99, 9), 501),
        (b"G" * 19 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", (20, 99, 9), 414),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
         b"Host: a\r\n\r\n", LIMITS, 501),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
         b"Host: a\r\n\r\n", LIMITS, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", LIMITS, 417),
        (b"GET / HTTP/2.1\r\nHost: a\r\n\r\n", LIMITS, 505),
    ],
)  # fmt: skip
def test_a_refusal_has_the_status_that_the_head_deserves(head, limits, status):
    assert scan(head, limits) == status
    with pytest.raises(RemoteProtocolError):
        codec.scan_head(head, *limits)


@native_only
def test_common_names_and_methods_are_the_same_objects_each_time():
    head = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nX-Mine: y\r\n\r\n"
    (one, _), (other, _) = NATIVE.scan_head(head, *LIMITS), NATIVE.scan_head(head, *LIMITS)
    assert one.method is other.method
    same = [a[0] is b[0] for a, b in zip(one.fields, other.fields, strict=True)]
    assert same == [True, True, False]


@native_only
def test_a_native_head_is_made_and_read_like_its_twin_and_stays_as_it_is():
    values = ("GET", b"/", "2", "https", b"a", "/", b"/", b"", [(b"a", b"b")], None, ())
    native, twin = NATIVE.RequestHead(*values), codec.heads.RequestHead(*values)
    assert attributes(native) == attributes(twin)
    with pytest.raises(AttributeError):
        native.method = "POST"
    for wrong in ((), values[:-1], (*values, 1)):
        with pytest.raises(TypeError):
            NATIVE.RequestHead(*wrong)


@native_only
@pytest.mark.parametrize(
    "arguments", [(), (b"",), ("", 1, 1, 1), (bytearray(), 1, 1, 1), (b"", "", 1, 1)]
)
def test_wrong_arguments_are_an_error(arguments):
    with pytest.raises(TypeError):
        NATIVE.scan_head(*arguments)


@native_only
@pytest.mark.parametrize(
    "arguments", [(), (b"", 0), ("", 0, 1, 1, 1), (b"", "", 1, 1, 1), (b"", 0, 1, 1, "")]
)
def test_wrong_arguments_for_the_next_head_are_an_error(arguments):
    with pytest.raises(TypeError):
        NATIVE.scan_next(*arguments)
