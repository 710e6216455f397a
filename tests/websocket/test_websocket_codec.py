"""The codec beyond the case list: limits, encoding, the client role."""

from __future__ import annotations

import pytest
from websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Echo,
    closing,
    cuts,
    fragments,
    masked,
    plain,
)

from katana_asgi.errors import LocalProtocolError, ProtocolError
from katana_asgi.websocket.codec import Close, Event, FrameCodec, Ping, Pong, WebSocketError
from katana_asgi.websocket.message import MAX_PARTS

TOO_BIG = plain(CLOSE, closing(1009, b"message is too big"))
TOO_MANY = plain(CLOSE, closing(1009, b"too many fragments"))


def only(events: list[Event]) -> Event:
    assert len(events) == 1
    return events[0]


# Limits


@pytest.mark.parametrize("size", [5, 125, 126, 65536])
def test_a_message_of_the_limit_passes_and_one_byte_more_does_not(size: int) -> None:
    limited = Echo(FrameCodec(max_size=size))
    assert limited.receive(masked(BINARY, b"x" * size)) == plain(BINARY, b"x" * size)
    assert limited.receive(masked(BINARY, b"x" * (size + 1))) == TOO_BIG


def test_a_frame_is_too_big_as_soon_as_its_length_is_known() -> None:
    limited = Echo(FrameCodec(max_size=1000))
    assert limited.receive(b"\x82\xfe\x03") == b""
    assert limited.receive(b"\xe9") == TOO_BIG


def test_the_limit_is_over_all_fragments_and_judged_by_the_head() -> None:
    limited = Echo(FrameCodec(max_size=10))
    assert limited.receive(*fragments(TEXT, b"x" * 10, 3)) == plain(TEXT, b"x" * 10)
    assert limited.receive(masked(TEXT, b"x" * 6, fin=False)) == b""
    assert limited.receive(masked(CONTINUATION, b"x" * 4, fin=False)) == b""
    assert limited.receive(masked(CONTINUATION, b"x")[:2]) == TOO_BIG


def test_control_frames_do_not_count_as_part_of_the_message() -> None:
    limited = Echo(FrameCodec(max_size=2))
    answer = limited.receive(
        masked(TEXT, b"x", fin=False), masked(PING, b"y" * 50), masked(CONTINUATION, b"z")
    )
    assert answer == plain(PONG, b"y" * 50) + plain(TEXT, b"xz")


def test_a_message_has_as_many_fragments_as_allowed_and_no_more() -> None:
    limited = Echo(FrameCodec(max_fragments=3))
    assert limited.receive(*fragments(TEXT, b"abc", 1)) == plain(TEXT, b"abc")
    frames = fragments(TEXT, b"abcd", 1)
    assert limited.receive(*frames[:3]) == b""
    assert limited.receive(frames[3]) == TOO_MANY


def test_zero_is_no_limit() -> None:
    free = Echo(FrameCodec(max_size=0, max_fragments=0))
    assert free.receive(b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4) + b"x") == b""
    assert not free.codec.ended


def test_a_message_in_more_parts_than_are_kept_apart_comes_out_whole() -> None:
    content = bytes(range(256)) * 5
    assert len(content) > 2 * MAX_PARTS
    echo = Echo()
    assert echo.receive(*cuts(masked(BINARY, content), 1)) == plain(BINARY, content)
    text = "€".encode() * 300
    assert echo.receive(*fragments(TEXT, text, 1)) == plain(TEXT, text)


def test_each_frame_has_its_own_key() -> None:
    frames = [
        masked(TEXT, b"first ", fin=False, key=b"\x01\x02\x03\x04"),
        masked(CONTINUATION, b"second", key=b"\xf0\xe0\xd0\xc0"),
    ]
    data = b"".join(frames)
    for size in (1, 5, len(data)):
        assert Echo().receive(*cuts(data, size)) == plain(TEXT, b"first second")


def test_the_rest_of_a_frame_is_not_taken_for_a_frame() -> None:
    frame = masked(BINARY, b"x", key=b"\x80\x01\x02\x03")
    assert frame[1:3] == b"\x81\x80", "as an empty text message begins"
    assert Echo().receive(frame[:1], frame[1:]) == plain(BINARY, b"x")


def test_a_breach_is_an_exception_with_code_and_reason() -> None:
    breach = only(FrameCodec().feed(b"\x83"))
    assert isinstance(breach, WebSocketError)
    assert isinstance(breach, ProtocolError)
    assert (breach.code, breach.reason, str(breach)) == (
        1002,
        "unknown opcode",
        "unknown opcode (1002)",
    )


def test_whole_messages_before_a_breach_in_the_same_read_are_given() -> None:
    events = FrameCodec().feed(masked(TEXT, b"good") + masked(PING, b"too") + masked(3))
    assert events[:2] == ["good", Ping(b"too")]
    assert isinstance(events[2], WebSocketError)


def test_events_say_what_came() -> None:
    sent = [
        masked(TEXT, "ü".encode()),
        masked(BINARY, b"\xff"),
        masked(PING, b"p"),
        masked(PONG, b"q"),
        masked(CLOSE, closing(4000, "só".encode())),
    ]
    assert FrameCodec().feed(b"".join(sent)) == [
        "ü",
        b"\xff",
        Ping(b"p"),
        Pong(b"q"),
        Close(4000, "só"),
    ]
    assert FrameCodec().feed(masked(CLOSE)) == [Close(None, "")]


def test_no_data_is_no_event() -> None:
    assert FrameCodec().feed(b"") == []


# Encoding


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_messages_are_one_frame_in_the_shortest_form(size: int) -> None:
    codec = FrameCodec()
    assert codec.encode_text("x" * size) == plain(TEXT, b"x" * size)
    assert codec.encode_binary(b"\xff" * size) == plain(BINARY, b"\xff" * size)
    assert b"".join(codec.encode_parts("x" * size)) == plain(TEXT, b"x" * size)
    assert b"".join(codec.encode_parts(b"\xff" * size)) == plain(BINARY, b"\xff" * size)


def test_the_length_is_that_of_the_encoded_text() -> None:
    text = "€" * 42
    assert FrameCodec().encode_text(text) == plain(TEXT, text.encode())


def test_the_content_of_encode_parts_is_not_copied() -> None:
    content = b"x" * 1000
    assert FrameCodec().encode_parts(content)[1] is content


def test_control_frames_are_encoded() -> None:
    codec = FrameCodec()
    assert codec.encode_ping() == plain(PING)
    assert codec.encode_ping(b"x" * 125) == plain(PING, b"x" * 125)
    assert codec.encode_pong(b"p") == plain(PONG, b"p")
    assert codec.encode_close() == plain(CLOSE)
    assert codec.encode_close(1000) == plain(CLOSE, closing(1000))
    reason = "ß" * 61
    assert codec.encode_close(3000, reason) == plain(CLOSE, closing(3000, reason.encode()))


def test_what_the_protocol_forbids_is_not_encoded() -> None:
    codec = FrameCodec()
    for content in (b"x" * 126, b"x" * 70000):
        with pytest.raises(LocalProtocolError, match="125 bytes"):
            codec.encode_ping(content)
        with pytest.raises(LocalProtocolError, match="125 bytes"):
            codec.encode_pong(content)
    for text in ("\ud800", "x" * 200 + "\udfff"):
        with pytest.raises(LocalProtocolError, match="UTF-8"):
            codec.encode_text(text)
        with pytest.raises(LocalProtocolError, match="UTF-8"):
            codec.encode_parts(text)


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_codes_that_may_not_be_sent_are_not(code: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"{code} may not be sent"):
        FrameCodec().encode_close(code)


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (None, "why", "needs a close code"),
        (1000, "x" * 124, "longer than 123 bytes"),
        (1000, "ß" * 62, "longer than 123 bytes"),
        (1000, "\ud800", "UTF-8"),
    ],
)
def test_reasons_that_do_not_fit_are_refused(code: int | None, reason: str, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        FrameCodec().encode_close(code, reason)


# The client role


def test_a_client_masks_with_a_new_key_and_reads_plain_frames() -> None:
    client, server = FrameCodec(client=True), FrameCodec()
    frames = [client.encode_text("same"), client.encode_text("same")]
    assert frames[0][2:6] != frames[1][2:6]
    assert [server.feed(frame) for frame in frames] == [["same"], ["same"]]
    assert client.feed(plain(TEXT, b"hi") + plain(BINARY, b"\0" * 200)) == ["hi", b"\0" * 200]
    assert client.feed(plain(PING, b"p") + plain(CLOSE)) == [Ping(b"p"), Close(None)]


def test_a_client_reads_fragments_and_single_bytes() -> None:
    data = plain(TEXT, "aü".encode()[:2], fin=False) + plain(CONTINUATION, "ü!".encode()[1:])
    client = FrameCodec(client=True)
    events = [event for read in cuts(data, 1) for event in client.feed(read)]
    assert events == ["aü!"]


def test_a_client_refuses_masked_frames() -> None:
    breach = only(FrameCodec(client=True).feed(masked(TEXT, b"x")))
    assert isinstance(breach, WebSocketError)
    assert breach.code == 1002


@pytest.mark.parametrize("size", [0, 3, 125, 126, 70000])
def test_both_roles_understand_each_other(size: int) -> None:
    client, server = FrameCodec(client=True), FrameCodec()
    content = bytes(index & 0xFF for index in range(size))
    assert server.feed(client.encode_binary(content)) == [content]
    assert client.feed(server.encode_binary(content)) == [content]
    assert server.feed(client.encode_ping(content[:125])) == [Ping(content[:125])]
    assert server.feed(client.encode_close(1001, "bye")) == [Close(1001, "bye")]
