"""Hypothesis strategies of request streams, good and broken, and of ways to cut them."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["CUTS", "STREAMS", "cut"]

METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"M-SEARCH", b"CONNECT", b"P(T"])
TARGETS = st.sampled_from(
    [b"/", b"/a%20b?c=d", b"*", b"http://b/c", b"b:1", b"/#", b"/\xff", b"", b"/" + b"x" * 80]
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "])
LINES = st.sampled_from(
    [
        b"Host: a",
        b"host: b:80",
        b"Host: a b",
        b"X: 1",
        b"X:\t1 \t2\t ",
        b"X-Empty:",
        b"Connection: close",
        b"Connection: keep-alive, Upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Expect: x",
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"Content-Length: 3 ",
        b"Content-Length: +3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked\t",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"X : 1",
        b" folded",
        b"no colon",
        b": no name",
        b"X: a\rb",
        b"X: \x00",
        b"X: \xe9",
        b"X: " + b"y" * 120,
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"])
CONTENTS = st.sampled_from(
    [
        b"",
        b"abc",
        b"0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        b'1;x="y"\r\na\r\n2\r\nbc\r\n0\r\nX: 1\r\n\r\n',
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"0\r\nHost: a\r\n\r\n",
        b"zz\r\n",
    ]
)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """One request; what is drawn most often is right."""
    first = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    lines = [first, *draw(st.lists(LINES, max_size=5))]
    head = b"".join([line + draw(ENDS) for line in lines])
    return head + draw(ENDS) + draw(CONTENTS)


GOOD = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x?y HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nX: 1\r\n\r\n",
    ]
)


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """A good request in which one byte or piece was changed."""
    request = draw(GOOD)
    at = draw(st.integers(0, len(request)))
    removed = draw(st.integers(0, 3))
    return request[:at] + draw(st.binary(max_size=3)) + request[at + removed :]


STREAMS = st.lists(st.one_of(GOOD, GOOD, _spoilt(), _requests()), min_size=1, max_size=4).map(
    b"".join
)
"""One to four requests, one behind the other."""

CUTS = st.one_of(st.none(), st.lists(st.integers(1, 40), max_size=40))
"""How many bytes each read takes, the rest coming in one; ``None``: byte by byte."""


def cut(stream: bytes, sizes: list[int] | None) -> list[bytes]:
    """The stream in pieces of these sizes, none of them empty."""
    if sizes is None:
        return [stream[at : at + 1] for at in range(len(stream))]
    pieces = []
    for size in sizes:
        if stream:
            pieces.append(stream[:size])
            stream = stream[size:]
    return [*pieces, stream] if stream else pieces
