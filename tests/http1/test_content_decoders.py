"""Counted and chunk-coded content, alone and against h11's own reader (RFC 9112 §6, §7.1)."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from request_streams import CUTS, cut

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import FORBIDDEN_IN_TRAILERS
from katana_asgi.http1.content import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_TRAILERS,
    ChunkedContent,
    CountedContent,
)
from tests.amounts import examples


def decoded(pieces: list[bytes], length: int | None = None) -> tuple[bytes, bytes | None]:
    """Content and what follows it, ``None`` where it is not complete; chunked without length."""
    decoder = ChunkedContent() if length is None else CountedContent(length)
    found = b""
    for at, piece in enumerate(pieces):
        content, end = decoder.feed(b"before" + piece, 6)
        found += content
        if decoder.complete:
            return found, piece[end - 6 :] + b"".join(pieces[at + 1 :])
        assert end == len(piece) + 6
    return found, None


def read_by_h11(stream: bytes) -> tuple[bytes, bytes | None] | None:
    """The same by h11; ``None`` where it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(stream)
    content = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                return content, bytes(connection.trailing_data[0])
            else:
                return content, None
    except h11.RemoteProtocolError:
        return None


TOKENS = st.text("abcXYZ019-_!", min_size=1, max_size=8).map(str.encode)
EXTENSIONS = st.lists(
    st.one_of(
        TOKENS.map(lambda name: b";" + name),
        st.tuples(TOKENS, TOKENS).map(lambda pair: b"; %b=%b" % pair),
        st.tuples(TOKENS, TOKENS).map(lambda pair: b';%b = "%b \\" ;"' % pair),
    ),
    max_size=2,
).map(b"".join)
TRAILERS = st.lists(st.tuples(TOKENS, TOKENS).map(lambda pair: b"x-%b: %b\r\n" % pair), max_size=3)


@st.composite
def _chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Some content, and a way to chunk it."""
    content = wire = b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        form = draw(st.sampled_from([b"%x", b"%X", b"0%x", b"000%X"]))
        wire += form % len(chunk) + draw(EXTENSIONS) + b"\r\n" + chunk + b"\r\n"
        content += chunk
    return content, wire + b"0\r\n" + b"".join(draw(TRAILERS)) + b"\r\n"


# -- counted


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_counted_content_ends_at_its_length(size):
    stream = bytes(range(10)) + b"next"
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert decoded(pieces, 10) == (bytes(range(10)), b"next")


def test_counted_content_knows_what_is_to_come():
    decoder = CountedContent(5)
    assert decoder.remaining == 5
    assert decoder.feed(b"abc", 0) == (b"abc", 3)
    assert (decoder.remaining, decoder.complete) == (2, False)
    assert decoder.feed(b"xde", 1) == (b"de", 3)
    assert (decoder.remaining, decoder.complete) == (0, True)


# -- chunked


@given(chunked=_chunked(), sizes=CUTS, rest=st.binary(max_size=10))
@settings(max_examples=examples(300), deadline=None)
def test_chunked_content_comes_out_whole_and_ends_where_it_ends(chunked, sizes, rest):
    content, wire = chunked
    assert decoded(cut(wire + rest, sizes)) == (content, rest)


@given(chunked=_chunked(), sizes=CUTS, rest=st.binary(max_size=10))
@settings(max_examples=examples(200), deadline=None)
def test_h11_reads_the_same(chunked, sizes, rest):
    _, wire = chunked
    assert read_by_h11(wire + rest) == decoded(cut(wire + rest, sizes))


@given(chunked=_chunked(), sizes=CUTS, data=st.data())
@settings(max_examples=examples(500), deadline=None)
def test_what_is_accepted_of_spoilt_chunks_means_the_same_to_h11(chunked, sizes, data):
    """We may refuse more, never read the same bytes otherwise."""
    _, wire = chunked
    at = data.draw(st.integers(0, len(wire)))
    spoilt = (
        wire[:at] + data.draw(st.binary(max_size=3)) + wire[at + data.draw(st.integers(0, 3)) :]
    )
    try:
        ours = decoded(cut(spoilt, sizes))
    except RemoteProtocolError:
        return
    theirs = read_by_h11(spoilt)
    assert theirs is not None
    if ours[1] is not None or theirs[1] is not None:
        assert ours == theirs


def test_white_space_around_an_extension_is_bad_but_allowed():
    assert decoded([b"1 ; a = b \t;c\r\nx\r\n0 ;d\r\n\r\n"]) == (b"x", b"")


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"+1\r\na\r\n",
        b"-1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1_0\r\n",
        b"g\r\n",
        b"\xb2\r\nab\r\n",
        b"1" * 17 + b"\r\n",
        b"1\na\r\n",
        b"1\r\r\na\r\n",
        b"1;\r\na\r\n",
        b"1;=\r\na\r\n",
        b"1;a=\r\na\r\n",
        b"1; a=b c\r\na\r\n",
        b'1;a="b\r\na\r\n',
        b"1;a\x00\r\na\r\n",
        b"1;a=\nb\r\na\r\n",
        b"1,a\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\r\r",
        b"2\r\na\r\n0\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"0\r\nX: 1\r\n 2\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\r\n: 1\r\n\r\n",
    ],
)
def test_anything_but_the_grammar_is_refused(wire):
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        with pytest.raises(RemoteProtocolError) as raised:
            decoded([*pieces, b"\r\n\r\n"])
        assert raised.value.status == 400


@pytest.mark.parametrize("name", sorted(FORBIDDEN_IN_TRAILERS))
def test_trailers_cannot_change_what_was_decided(name):
    for spelling in (name, name.upper()):
        with pytest.raises(RemoteProtocolError):
            decoded([b"0\r\n" + spelling + b": 1\r\n\r\n"])


def test_an_extension_may_not_be_long():
    allowed = b"1;" + b"a" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    assert decoded([allowed + b"a\r\n0\r\n\r\n"]) == (b"a", b"")
    too_long = b"1;" + b"a" * (MAX_CHUNK_LINE - 3) + b"\r\n"
    for pieces in ([too_long], [too_long[:-2], b"a" * 10]):
        with pytest.raises(RemoteProtocolError):
            decoded(pieces)


def test_extensions_may_not_be_long_together():
    one = b"1;" + b"a" * 500 + b"\r\nx\r\n"
    count = MAX_EXTENSIONS // 501
    assert decoded([one * count]) == (b"x" * count, None)
    with pytest.raises(RemoteProtocolError):
        decoded([one] * (count + 1))


def test_trailers_may_not_be_long_alone_or_together():
    line = b"X: " + b"a" * 995 + b"\r\n"
    with pytest.raises(RemoteProtocolError) as raised:
        decoded([b"0\r\n"] + [line] * (MAX_TRAILERS // 1000 + 1))
    assert raised.value.status == 431
    with pytest.raises(RemoteProtocolError):
        decoded([b"0\r\nX: "] + [b"a" * 1000] * (MAX_TRAILERS // 1000 + 2))
