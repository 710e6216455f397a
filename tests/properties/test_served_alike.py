"""Whatever a client sends: the back end changes nothing, and neither does what came before.

What the application saw and what the client got is the same over the native codec, httptools and
h11. All that may differ are the words in which a refusal is explained.
"""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.amounts import examples
from tests.fuzz.in_memory import served_alike
from tests.http1.request_streams import CUTS, STREAMS, cut

FIELDS = st.sampled_from(
    [
        b"X-Known: value",
        b"Accept: */*",
        b"Cookie: a=b",
        b"Authorization: Basic eA==",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Upgrade: h2c",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Expect: 100-continue",
        b"Host: other",
        b"X-Forwarded-For: 192.0.2.9",
        b"X-Odd:\t v ",
    ]
)
LINES = st.tuples(
    st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"get", b"CONNECT"]),
    st.sampled_from([b"/", b"/static", b"/static?q", b"/later", b"/a?b", b"*", b"http://b/c"]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]),
).map(b" ".join)


@st.composite
def _repeating(draw: st.DrawFn) -> list[bytes]:
    sections = draw(st.lists(st.lists(FIELDS, max_size=4), min_size=1, max_size=2))
    lines = draw(st.lists(LINES, min_size=1, max_size=2))
    requests = []
    for _ in range(draw(st.integers(1, 5))):
        fields = draw(st.sampled_from(sections))
        request = b"\r\n".join([draw(st.sampled_from(lines)), b"Host: a", *fields, b"", b""])
        if b"Transfer-Encoding: chunked" in fields:
            request += b"3\r\nabc\r\n0\r\n\r\n"
        elif b"Content-Length: 3" in fields:
            request += b"abc"
        requests.append(request)
    return requests


REPEATING = _repeating()
"""Requests that repeat lines, sections and whole heads, as clients do."""


QUIET = settings(max_examples=examples(500), deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(stream=STREAMS, sizes=CUTS)
@example(stream=b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", sizes=[])
def test_random_and_broken_requests_are_served_alike(stream, sizes):
    served_alike(cut(stream, sizes))


@QUIET
@given(requests=REPEATING, sizes=CUTS)
def test_requests_that_repeat_are_served_alike(requests, sizes):
    served_alike(cut(b"".join(requests), sizes))


@QUIET
@given(requests=REPEATING, pipelined=st.integers(1, 3))
def test_reads_that_repeat_are_served_alike(requests, pipelined):
    """One request or several in a read."""
    reads = [request * pipelined for request in requests for _ in range(3)]
    served_alike(reads)


@QUIET
@given(requests=REPEATING, at=st.integers(0, 400), byte=st.integers(0, 255))
def test_one_wrong_byte_in_what_was_right_before_is_noticed_alike(requests, at, byte):
    stream = b"".join(requests)
    at %= len(stream)
    served_alike([stream])
    served_alike([stream[:at] + bytes([byte]) + stream[at + 1 :]])


def test_half_a_request_behind_a_static_route_is_not_forgotten():
    """Found by fuzzing: such a read was once taken for the first request only."""
    static = b"GET /static HTTP/1.1\r\nHost: a\r\n\r\n"
    half, rest = b"GET /a HTTP/1.1\r\nHo", b"st: a\r\n\r\n"
    for served in served_alike([static + half, rest] * 3):
        assert served.sent.count(b"cached") == len(served.seen) == 3


def test_a_section_behind_a_broken_line_is_refused_alike():
    """Found by fuzzing: a line end within the request line counted as one of a field."""
    fields = b"Host: a\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(7))
    served_alike([b"GET / HTTP/1.1\r\n" + fields + b"\r\n"])
    served_alike([b"GET / HTTP/1.1\n\r\n" + fields + b"\r\n"])
    served_alike([b"GET /\nHTTP/1.1\r\n" + fields + b"\r\n"])


@QUIET
@given(connections=st.lists(REPEATING, min_size=2, max_size=4), data=st.data())
def test_what_one_connection_sent_does_not_show_on_another(connections, data):
    for _ in range(4):
        served_alike(data.draw(st.sampled_from(connections)))
