"""permessage-deflate: the agreement, the RSV1 rules, bombs, and odd but valid streams."""

from __future__ import annotations

import zlib

import pytest
from websocket_compression import TAIL, Deflater, Inflater, noise
from websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Echo,
    closing,
    cuts,
    fragments,
    masked,
    plain,
)

from katana_asgi.websocket.codec import FrameCodec
from katana_asgi.websocket.deflate import (
    MAX_FINAL_BLOCKS,
    Deflate,
    DeflateParameters,
    DeflateSettings,
    negotiate,
)
from katana_asgi.websocket.handshake import parse_extensions

FULL = DeflateSettings(server_max_window_bits=15, client_max_window_bits=15)
RSV = plain(CLOSE, closing(1002, b"reserved bits set"))
TOO_BIG = plain(CLOSE, closing(1009, b"message is too big"))
NOT_UTF8 = plain(CLOSE, closing(1007, b"text is not UTF-8"))
NOT_DEFLATE = plain(CLOSE, closing(1007, b"invalid compressed data"))

HELLO_OF_THE_RFC = bytes.fromhex("f248cdc9c90700")
"""RFC 7692 §7.2.3.1."""


def echo(*, max_size: int = 0, threshold: int = 1 << 20, **agreed: int) -> Echo:
    """An endpoint that inflates, and sends as it is what is below ``threshold``."""
    parameters = DeflateParameters(**agreed)  # type: ignore[arg-type]  # ints and bools by name
    deflate = Deflate(parameters, DeflateSettings(threshold=threshold))
    return Echo(FrameCodec(max_size=max_size, deflate=deflate))


def compressed(opcode: int, content: bytes, *, fin: bool = True) -> bytes:
    return masked(opcode, content, fin=fin, rsv=4)


# The agreement


@pytest.mark.parametrize(
    ("offer", "response"),
    [
        ("", ""),
        ("; client_max_window_bits", ""),
        ("; client_max_window_bits=15", ""),
        ("; client_max_window_bits=10", "; client_max_window_bits=10"),
        ("; client_max_window_bits=8", "; client_max_window_bits=8"),
        ('; client_max_window_bits="10"', "; client_max_window_bits=10"),
        ("; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("; server_max_window_bits=8", "; server_max_window_bits=8"),
        ("; server_no_context_takeover", "; server_no_context_takeover"),
        ("; client_no_context_takeover", "; client_no_context_takeover"),
        (
            "; client_max_window_bits; server_max_window_bits=11; client_no_context_takeover"
            "; server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11",
        ),
        (", permessage-deflate; server_no_context_takeover", ""),
    ],
)
def test_a_server_without_wishes_grants_the_first_offer(offer: str, response: str) -> None:
    agreed = negotiate(parse_extensions([b"permessage-deflate" + offer.encode()]), FULL)
    assert agreed is not None
    assert agreed.response == b"permessage-deflate" + response.encode()


@pytest.mark.parametrize(
    ("offer", "response"),
    [
        ("", "; server_max_window_bits=12"),
        ("; server_max_window_bits=10", "; server_max_window_bits=10"),
        ("; server_max_window_bits=14", "; server_max_window_bits=12"),
        ("; client_max_window_bits", "; server_max_window_bits=12; client_max_window_bits=11"),
        ("; client_max_window_bits=9", "; server_max_window_bits=12; client_max_window_bits=9"),
    ],
)
def test_the_narrower_window_of_both_is_agreed(offer: str, response: str) -> None:
    wishes = DeflateSettings(server_max_window_bits=12, client_max_window_bits=11)
    agreed = negotiate(parse_extensions([b"permessage-deflate" + offer.encode()]), wishes)
    assert agreed is not None
    assert agreed.response == b"permessage-deflate" + response.encode()


def test_the_server_may_forbid_takeover_unasked() -> None:
    wishes = DeflateSettings(
        server_max_window_bits=15, server_no_context_takeover=True, client_no_context_takeover=True
    )
    agreed = negotiate(parse_extensions([b"permessage-deflate"]), wishes)
    assert agreed == DeflateParameters(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        response=b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    )


WRONG = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=08",
    "server_max_window_bits=+9",
    "server_max_window_bits=9; server_max_window_bits=9",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=015",
    "client_max_window_bits=x",
    "client_max_window_bits; client_max_window_bits",
    "Server_No_Context_Takeover",
]


@pytest.mark.parametrize("parameters", WRONG)
def test_a_wrong_offer_is_passed_over_and_the_next_one_taken(parameters: str) -> None:
    wrong = b"permessage-deflate; " + parameters.encode()
    assert negotiate(parse_extensions([wrong]), FULL) is None
    agreed = negotiate(parse_extensions([wrong + b", permessage-deflate"]), FULL)
    assert agreed == DeflateParameters()


@pytest.mark.parametrize("value", [b"", b"x-webkit-deflate-frame", b"permessage-bzip2; a=1"])
def test_other_extensions_are_not_agreed_on(value: bytes) -> None:
    assert negotiate(parse_extensions([value]), FULL) is None


# Frames


def test_the_examples_of_the_rfc() -> None:
    hello = plain(TEXT, b"Hello")
    assert echo().receive(compressed(TEXT, HELLO_OF_THE_RFC)) == hello
    two = [
        compressed(TEXT, HELLO_OF_THE_RFC[:3], fin=False),
        masked(CONTINUATION, HELLO_OF_THE_RFC[3:]),
    ]
    assert echo().receive(*two) == hello
    shared = [compressed(TEXT, HELLO_OF_THE_RFC), compressed(TEXT, bytes.fromhex("f200110000"))]
    assert echo().receive(*shared) == hello * 2
    stored = bytes.fromhex("000500faff48656c6c6f00")
    assert echo().receive(compressed(TEXT, stored)) == hello
    final = bytes.fromhex("f348cdc9c9070000")
    assert echo().receive(compressed(TEXT, final)) == hello
    two_blocks = bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))
    assert echo().receive(compressed(TEXT, two_blocks)) == hello


def test_compressed_and_plain_messages_may_alternate() -> None:
    deflater = Deflater()
    sent = [
        compressed(TEXT, deflater(b"one and one")),
        masked(TEXT, b"plain"),
        masked(PING, b"ping"),
        compressed(BINARY, deflater(b"one and one")),
        compressed(TEXT, deflater(b"")),
    ]
    events = echo().codec.feed(b"".join(sent))
    assert events[0] == "one and one"
    assert events[1] == "plain"
    assert events[3:] == [b"one and one", ""]


def test_control_frames_between_compressed_fragments_are_plain() -> None:
    frames = fragments(TEXT, HELLO_OF_THE_RFC, 2, rsv=4)
    sent = [frames[0], masked(PING, b"p"), *frames[1:]]
    for size in (1, 100):
        answer = echo().receive(*cuts(b"".join(sent), size))
        assert answer == plain(10, b"p") + plain(TEXT, b"Hello")


@pytest.mark.parametrize(
    "sent",
    [
        [masked(PING, rsv=4)],
        [masked(CLOSE, rsv=4)],
        [masked(TEXT, b"a", fin=False), masked(CONTINUATION, b"b", rsv=4)],
        [compressed(TEXT, HELLO_OF_THE_RFC[:3], fin=False), masked(CONTINUATION, b"b", rsv=4)],
        [masked(TEXT, HELLO_OF_THE_RFC, rsv=6)],
        [masked(TEXT, HELLO_OF_THE_RFC, rsv=2)],
    ],
)
def test_rsv1_stands_on_the_first_frame_of_a_message_only(sent: list[bytes]) -> None:
    assert echo().receive(*sent) == RSV


def test_rsv1_needs_an_agreement() -> None:
    assert Echo().receive(compressed(TEXT, HELLO_OF_THE_RFC)) == RSV


# Limits


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = Deflater(level=9)(bytes(1 << 24))
    assert len(bomb) < 1 << 15
    for size in (len(bomb) + 20, 1000):
        assert echo(max_size=1 << 20).receive(*cuts(compressed(BINARY, bomb), size)) == TOO_BIG


def test_a_bomb_in_fragments_stops_at_the_limit() -> None:
    bomb = Deflater(level=9)(bytes(1 << 20))
    frames = fragments(BINARY, bomb, 50, rsv=4)
    assert echo(max_size=1 << 16).receive(*frames) == TOO_BIG


@pytest.mark.parametrize("content", [b"a" * 1000, noise(1000), noise(70000)])
def test_the_limit_is_over_the_inflated_message(content: bytes) -> None:
    data = Deflater()(content)
    for size in (len(data) + 20, 1):
        reads = list(cuts(compressed(BINARY, data), size))
        assert echo(max_size=len(content)).receive(*reads) == plain(BINARY, content)
        assert echo(max_size=len(content) - 1).receive(*reads) == TOO_BIG


def test_content_that_grew_in_fragments_is_within_the_limit() -> None:
    content = noise(70000)
    data = Deflater()(content)
    assert len(data) > len(content)
    frames = fragments(BINARY, data, 1000, rsv=4)
    assert echo(max_size=len(content)).receive(*frames) == plain(BINARY, content)


def test_inflating_gives_one_byte_more_than_the_room_at_most() -> None:
    zeros = Deflater()(bytes(100_000))
    for data in (zeros, final_blocks(5), final_blocks(3)[:-1] + zeros):
        for room in range(6):
            deflate = Deflate(DeflateParameters(), DeflateSettings())
            deflate.begin_message()
            assert len(deflate.inflate(data, room, last=True)) <= room + 1


def test_a_frame_that_no_encoder_would_need_is_too_big_by_its_head() -> None:
    head = b"\xc2\xfe" + (2000).to_bytes(2, "big")
    assert echo(max_size=1000).receive(head) == TOO_BIG
    limited = echo(max_size=1000)
    assert limited.receive(compressed(BINARY, b"\x00\x00", fin=False)) == b""
    assert limited.receive(b"\x80\xfe" + (2000).to_bytes(2, "big")) == TOO_BIG


def test_what_fits_is_judged_before_what_does_not() -> None:
    """The verdict is the same however reads fall."""
    for text, verdict in ((b"a" * 99 + b"\xff" + b"a" * 100, NOT_UTF8), (b"a" * 200, TOO_BIG)):
        data = compressed(TEXT, Deflater()(text))
        for size in (len(data), 1):
            assert echo(max_size=150).receive(*cuts(data, size)) == verdict


# Bad and odd data


@pytest.mark.parametrize(
    "data", [b"\x07", b"\xff" * 20, b"\x00\x05\x00\x00\x00Hello", b"\x4b\x04\x06"]
)
def test_data_that_is_not_deflate_is_1007(data: bytes) -> None:
    for size in (100, 1):
        assert echo().receive(*cuts(compressed(BINARY, data), size)) == NOT_DEFLATE


def test_inflated_text_must_be_utf8_as_early_as_ever() -> None:
    data = Deflater(level=0)(b"ok\xff" + b"x" * 1000)
    limited = echo()
    assert limited.receive(compressed(TEXT, data)[:30]) == NOT_UTF8
    assert echo().receive(compressed(TEXT, Deflater()("ü".encode()[:1]))) == NOT_UTF8


def test_a_peer_that_was_told_8_bits_may_use_zlibs_9() -> None:
    """Byte by byte, so that only the window can be referred to."""
    for size, bits, accepted in ((300, 8, True), (600, 9, False), (600, 10, True)):
        content = noise(size) * 2
        data = Deflater()(content)
        assert len(data) < size + 100, "the second half refers to the first"
        answer = echo(client_max_window_bits=bits).receive(*cuts(compressed(BINARY, data), 1))
        assert answer == (plain(BINARY, content) if accepted else NOT_DEFLATE)


def test_without_takeover_each_message_has_a_fresh_window() -> None:
    frames = [compressed(TEXT, HELLO_OF_THE_RFC), compressed(TEXT, bytes.fromhex("f200110000"))]
    answer = echo(client_no_context_takeover=True).receive(*frames)
    assert answer == plain(TEXT, b"Hello") + NOT_DEFLATE


def final_blocks(count: int) -> bytes:
    """``count`` final blocks of one byte each, then the start of an empty stored block."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(b"x") + compressor.flush(zlib.Z_FINISH)
    return block * count + b"\x00"


def test_final_blocks_are_taken_but_not_without_end() -> None:
    for size in (1000, 1):
        taken = compressed(BINARY, final_blocks(MAX_FINAL_BLOCKS))
        whole = plain(BINARY, b"x" * MAX_FINAL_BLOCKS)
        assert echo().receive(*cuts(taken * 2, size)) == whole * 2
        refused = compressed(BINARY, final_blocks(MAX_FINAL_BLOCKS + 1))
        answer = echo().receive(*cuts(refused, size))
        assert answer == plain(CLOSE, closing(1007, b"too many final blocks"))


def test_final_blocks_keep_to_the_limit() -> None:
    assert echo(max_size=3).receive(compressed(BINARY, final_blocks(4))) == TOO_BIG
    assert echo(max_size=4).receive(compressed(BINARY, final_blocks(4))) == plain(BINARY, b"xxxx")


def test_a_message_after_one_with_a_final_block() -> None:
    sent = [compressed(BINARY, final_blocks(1)), compressed(TEXT, HELLO_OF_THE_RFC)]
    assert echo().receive(*sent) == plain(BINARY, b"x") + plain(TEXT, b"Hello")


# Sending


def test_only_messages_from_the_threshold_on_are_compressed() -> None:
    codec = echo(threshold=100).codec
    assert codec.encode_text("x" * 99) == plain(TEXT, b"x" * 99)
    assert codec.encode_text("x" * 100)[0] == 0xC1
    assert codec.encode_binary(b"x" * 99) == plain(BINARY, b"x" * 99)
    head, content = codec.encode_parts(b"x" * 100)
    assert head == bytes([0xC2, len(content)])
    assert codec.encode_ping(b"x" * 100) == plain(PING, b"x" * 100)


def test_an_empty_message_is_never_compressed() -> None:
    codec = echo(threshold=0).codec
    assert codec.encode_text("") == plain(TEXT)
    assert codec.encode_parts("") == (plain(TEXT), b"")
    assert codec.encode_text("x")[0] == 0xC1


def test_takeover_makes_repetitions_small_and_its_absence_makes_messages_alike() -> None:
    text = noise(500).hex()
    keeping = echo(threshold=0).codec
    assert len(keeping.encode_text(text)) > 10 * len(keeping.encode_text(text))
    forgetting = echo(threshold=0, server_no_context_takeover=True).codec
    assert forgetting.encode_text(text) == forgetting.encode_text(text)


def test_what_does_not_shrink_is_sent_as_it_is_where_no_window_suffers() -> None:
    content = noise(300)
    forgetting = echo(threshold=0, server_no_context_takeover=True).codec
    assert forgetting.encode_binary(content) == plain(BINARY, content)
    keeping = echo(threshold=0).codec
    frame = keeping.encode_binary(content)
    assert frame[0] == 0xC2
    assert Inflater()(frame[4:]) == content


def test_a_window_of_8_bits_is_never_used_for_sending() -> None:
    codec = echo(threshold=0, server_max_window_bits=8).codec
    assert codec.encode_text("x" * 100) == plain(TEXT, b"x" * 100)


@pytest.mark.parametrize("bits", range(9, 16))
def test_the_compressor_keeps_within_the_agreed_window(bits: int) -> None:
    pattern = noise(1 << bits)
    codec = echo(threshold=0, server_max_window_bits=bits).codec
    inflater = Inflater(bits=bits)
    for _ in range(3):
        head, content = codec.encode_parts(pattern)
        assert head[0] == 0xC2
        assert inflater(content) == pattern


def test_the_client_role_turns_the_parameters_round() -> None:
    parameters = DeflateParameters(
        server_max_window_bits=10, client_max_window_bits=9, client_no_context_takeover=True
    )
    settings = DeflateSettings(threshold=0)
    client = FrameCodec(client=True, deflate=Deflate(parameters, settings, client=True))
    server = FrameCodec(deflate=Deflate(parameters, settings))
    for text in ("abc" * 1000, "abc" * 1000, "ü"):
        assert server.feed(client.encode_text(text)) == [text]
        assert client.feed(server.encode_text(text)) == [text]


def test_the_tail_never_travels() -> None:
    frame = echo(threshold=0).codec.encode_text("Hello")
    assert frame == plain(TEXT, HELLO_OF_THE_RFC, rsv=4)
    assert not frame.endswith(TAIL)
