"""What holds for any bytes: one verdict however reads fall, and what was sent comes back."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from websocket_compression import Deflater
from websocket_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, closing, masked

from katana_asgi.websocket.codec import Event, FrameCodec, WebSocketError
from katana_asgi.websocket.deflate import Deflate, DeflateParameters, DeflateSettings
from tests.amounts import examples

MAX_SIZE = 200
MAX_FRAGMENTS = 4

keys = st.binary(min_size=4, max_size=4)
small = st.binary(max_size=30) | st.integers(120, 260).map(lambda size: b"s" * size)
contents = small | st.text(max_size=20).map(str.encode)
closings = st.builds(
    closing, st.sampled_from((1000, 1005, 1011, 1016, 3000, 4999)), st.binary(max_size=5)
)
frames = st.one_of(
    st.builds(masked, st.sampled_from((TEXT, BINARY)), contents, key=keys),
    st.builds(masked, st.sampled_from((TEXT, BINARY)), contents, fin=st.just(False), key=keys),
    st.builds(masked, st.just(CONTINUATION), contents, fin=st.booleans(), key=keys),
    st.builds(masked, st.sampled_from((PING, PONG)), contents, key=keys),
    st.builds(masked, st.just(CLOSE), closings | contents, key=keys),
    st.builds(
        masked, st.integers(0, 15), contents, fin=st.booleans(), rsv=st.integers(0, 7), key=keys
    ),
    st.builds(
        masked,
        st.sampled_from((TEXT, BINARY)),
        contents.map(Deflater(takeover=False)),
        rsv=st.just(4),
    ),
    st.binary(max_size=12),
)
streams = st.lists(frames, max_size=6).map(b"".join)

Verdict: TypeAlias = list[object]


def codec(compression: bool) -> FrameCodec:
    deflate = Deflate(DeflateParameters(), DeflateSettings()) if compression else None
    return FrameCodec(max_size=MAX_SIZE, max_fragments=MAX_FRAGMENTS, deflate=deflate)


def verdict(events: list[Event]) -> Verdict:
    """The events, a breach as its close code."""
    return [event.code if isinstance(event, WebSocketError) else event for event in events]


@settings(max_examples=examples(300), deadline=None)
@given(streams, st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_reads_may_fall_anywhere(stream: bytes, cuts: list[int], compression: bool) -> None:
    whole = verdict(codec(compression).feed(stream))
    by_byte = codec(compression)
    assert whole == verdict([event for byte in stream for event in by_byte.feed(bytes([byte]))])
    in_pieces = codec(compression)
    bounds = [0, *sorted(cuts), len(stream)]
    reads = [stream[start:end] for start, end in pairwise(bounds)]
    assert whole == verdict([event for read in reads for event in in_pieces.feed(read)])
    assert in_pieces.ended is by_byte.ended


@settings(max_examples=examples(300), deadline=None)
@given(streams, st.booleans())
def test_nothing_follows_the_last_event(stream: bytes, compression: bool) -> None:
    reader = codec(compression)
    events = reader.feed(stream)
    last = [event for event in events if not isinstance(event, str | bytes)]
    terminal = [event for event in last if type(event).__name__ in ("Close", "WebSocketError")]
    assert terminal in ([], events[-1:])
    assert reader.ended is bool(terminal)
    if reader.ended:
        assert reader.feed(stream) == []


@settings(max_examples=examples(300), deadline=None)
@given(streams)
def test_messages_never_exceed_the_limit(stream: bytes) -> None:
    for event in codec(True).feed(stream):
        if isinstance(event, str):
            assert len(event.encode()) <= MAX_SIZE
        elif isinstance(event, bytes):
            assert len(event) <= MAX_SIZE


messages = st.lists(
    st.text(max_size=300)
    | st.binary(max_size=300)
    | st.integers(0, 70_000).map("¼ of it ".__mul__)
    | st.integers(0, 70_000).map(b"\x00\xff\x07".__mul__),
    max_size=5,
)
agreements = st.none() | st.builds(
    DeflateParameters,
    server_max_window_bits=st.integers(8, 15),
    client_max_window_bits=st.integers(8, 15),
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
)
wishes = st.builds(
    DeflateSettings,
    level=st.integers(0, 9),
    memory_level=st.integers(1, 9),
    threshold=st.sampled_from((0, 1, 50, 10_000)),
)


@settings(max_examples=examples(60), deadline=None)
@given(messages, agreements, wishes, st.booleans(), st.integers(1, 5000))
def test_what_was_sent_comes_back(
    sent: list[str | bytes],
    agreed: DeflateParameters | None,
    wished: DeflateSettings,
    from_client: bool,
    piece: int,
) -> None:
    def end(client: bool) -> FrameCodec:
        deflate = None if agreed is None else Deflate(agreed, wished, client=client)
        return FrameCodec(deflate=deflate, client=client)

    sender, receiver = end(from_client), end(not from_client)
    wire = b"".join(
        sender.encode_text(message) if isinstance(message, str) else sender.encode_binary(message)
        for message in sent
    )
    reads = [wire[start : start + piece] for start in range(0, len(wire), piece)]
    assert [event for read in reads for event in receiver.feed(read)] == sent
