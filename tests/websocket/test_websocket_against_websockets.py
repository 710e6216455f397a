"""The same bytes through the ``websockets`` library: both sides say the same.

Left out on purpose, where this codec is the stricter one or follows Autobahn: lengths that
are not in their shortest form, and a close frame inside a fragmented message.
"""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    closing,
    cuts,
    masked,
    plain,
)
from websockets.client import ClientProtocol
from websockets.extensions import permessage_deflate
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol
from websockets.uri import parse_uri

from katana_asgi.codec import check_fields
from katana_asgi.http.message import RequestHead
from katana_asgi.http1.websocket_upgrade import Http1Upgrade
from katana_asgi.websocket.codec import Close, Event, FrameCodec, Ping, Pong, WebSocketError
from katana_asgi.websocket.deflate import Deflate, DeflateSettings, negotiate
from katana_asgi.websocket.handshake import parse_opening, response_fields
from tests.amounts import examples
from tests.heads import request_head

MAX_SIZE = 150

_ENDINGS = [
    b"",
    *(bytes(rest) for n in (1, 2, 3) for rest in product((0x80, 0x90, 0xA0), repeat=n)),
]


def begins_text(content: bytes) -> bool:
    """Whether some continuation makes ``content`` UTF-8."""
    for ending in _ENDINGS:
        try:
            (content + ending).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def theirs(protocol: Protocol, data: bytes) -> list[object]:
    """What ``websockets`` makes of ``data``, in terms of this codec's events.

    It leaves the UTF-8 of messages to its caller, so that is judged here.
    """
    protocol.receive_data(data)
    events: list[object] = []
    text, content = False, b""
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode is Opcode.PING:
            events.append(Ping(bytes(frame.data)))
        elif frame.opcode is Opcode.PONG:
            events.append(Pong(bytes(frame.data)))
        elif frame.opcode is Opcode.CLOSE:
            code = int.from_bytes(frame.data[:2], "big") if frame.data else None
            events.append(Close(code, bytes(frame.data[2:]).decode()))
        else:
            if frame.opcode is not Opcode.CONT:
                text, content = frame.opcode is Opcode.TEXT, b""
            content += bytes(frame.data)
            if text and not begins_text(content):
                return [*events, 1007]
            if frame.fin:
                try:
                    events.append(content.decode() if text else content)
                except UnicodeDecodeError:
                    return [*events, 1007]
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        events.append(int(protocol.close_sent.code))
    return events


def ours(events: list[Event]) -> list[object]:
    return [event.code if isinstance(event, WebSocketError) else event for event in events]


short = st.binary(max_size=20) | st.text(max_size=10).map(str.encode)
some = short | st.sampled_from((124, 125, 126, 150, 151)).map(lambda size: b"s" * size)
data_frames = st.tuples(
    st.sampled_from((CONTINUATION, TEXT, BINARY)), some, st.booleans(), st.just(0), st.just(True)
)
control_frames = st.tuples(
    st.sampled_from((PING, PONG)), short, st.just(True), st.just(0), st.just(True)
)
closes = st.one_of(
    st.builds(
        closing, st.integers(990, 1020) | st.integers(0, 65535), st.text(max_size=9).map(str.encode)
    ),
    st.builds(closing, st.sampled_from((1000, 1014, 4999)), short),
    st.binary(max_size=1),
)
faults = st.one_of(
    st.tuples(
        st.integers(3, 7) | st.integers(11, 15), short, st.booleans(), st.just(0), st.just(True)
    ),
    st.tuples(
        st.sampled_from((TEXT, PING)), short, st.just(True), st.integers(1, 7), st.just(True)
    ),
    st.tuples(st.sampled_from((PING, PONG)), short, st.just(False), st.just(0), st.just(True)),
    st.tuples(st.just(PING), st.just(b"x" * 126), st.just(True), st.just(0), st.just(True)),
    st.tuples(st.sampled_from((TEXT, PING)), short, st.just(True), st.just(0), st.just(False)),
    st.tuples(st.just(CLOSE), closes, st.just(True), st.just(0), st.just(True)),
)


def in_order(frames: list[tuple[int, bytes, bool, int, bool]]) -> bytes:
    """The frames as bytes, up to one with two faults or one that both judge differently.

    That is a close frame inside a fragmented message, and a frame that would both be out of
    place and exceed the limit: which fault is named is a matter of taste, and ``websockets``
    counts even a ping against what the message has left.
    """
    wire = b""
    size: int | None = None  # of the message that is not finished
    for opcode, content, fin, rsv, is_masked in frames:
        continuing = size is not None
        if opcode == CLOSE and continuing:
            break
        expected = (
            (opcode == CONTINUATION) is continuing and opcode <= BINARY and not rsv and is_masked
        )
        if not expected and (size or 0) + len(content) > MAX_SIZE:
            break
        if opcode <= BINARY:
            size = None if fin else (size or 0) + len(content)
        make = masked if is_masked else plain
        wire += make(opcode, content, fin=fin, rsv=rsv)
    return wire


@settings(max_examples=examples(500), deadline=None)
@given(
    st.lists(data_frames | control_frames, max_size=8),
    st.lists(faults, max_size=1),
    st.integers(1, 60),
)
def test_both_read_the_same_from_a_client(
    frames: list[tuple[int, bytes, bool, int, bool]],
    fault: list[tuple[int, bytes, bool, int, bool]],
    piece: int,
) -> None:
    wire = in_order(frames + fault)
    expected = theirs(Protocol(SERVER, max_size=MAX_SIZE), wire)
    codec = FrameCodec(max_size=MAX_SIZE)
    assert ours([event for read in cuts(wire, piece) for event in codec.feed(read)]) == expected
    assert ours(FrameCodec(max_size=MAX_SIZE).feed(wire)) == expected


messages = st.lists(
    st.text(max_size=200)
    | st.binary(max_size=200)
    | st.integers(0, 9000).map("so ähnlich ".__mul__)
    | st.integers(0, 9000).map(b"\x00\x01\xfe".__mul__),
    max_size=6,
)
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
)
agreements = st.none() | st.tuples(
    st.sampled_from(OFFERS),
    st.builds(
        DeflateSettings,
        server_max_window_bits=st.integers(9, 15),
        client_max_window_bits=st.integers(9, 15),
        server_no_context_takeover=st.booleans(),
        client_no_context_takeover=st.booleans(),
        threshold=st.sampled_from((0, 64)),
    ),
)


def request_of(client: ClientProtocol, offers: str | None) -> RequestHead:
    """What the client's handshake looks like after the HTTP/1.1 parser."""
    request = client.connect()
    client.send_request(request)
    client.data_to_send()
    if offers is None:
        assert "Sec-WebSocket-Extensions" not in request.headers
    else:
        del request.headers["Sec-WebSocket-Extensions"]
        request.headers["Sec-WebSocket-Extensions"] = offers
    fields = [
        (name.lower().encode(), value.encode()) for name, value in request.headers.raw_items()
    ]
    return request_head(b"/", *fields)


class Upgraded:
    """Instead of a connection: keeps the response that upgrades it."""

    response = b""

    def upgrade(self, response: bytes, end: object) -> tuple[object, bytes]:
        self.response = response
        return self, b""


def connect(agreement: tuple[str, DeflateSettings] | None) -> tuple[ClientProtocol, FrameCodec]:
    """A ``websockets`` client and this codec after a handshake between them."""
    offers = None if agreement is None else agreement[0]
    extensions = [
        permessage_deflate.ClientPerMessageDeflateFactory(
            server_no_context_takeover="server_no" in (offers or ""),
            client_no_context_takeover="client_no" in (offers or ""),
            server_max_window_bits=9 if "server_max" in (offers or "") else None,
            client_max_window_bits=10
            if "bits=10" in (offers or "")
            else "client_max" in (offers or "") or None,
        )
    ]
    client = ClientProtocol(
        parse_uri("ws://example.org/"),
        extensions=None if agreement is None else extensions,
        subprotocols=["chat", "soap"],  # type: ignore[list-item]  # a NewType of str
        max_size=None,
    )
    head = request_of(client, offers)
    opening = parse_opening(head)
    deflate = None
    response = None
    if agreement is not None:
        agreed = negotiate(opening.extensions, agreement[1])
        assert agreed is not None
        response = agreed.response
        deflate = Deflate(agreed, agreement[1])
    pairs = response_fields(
        opening, subprotocol="soap", extension=response, fields=check_fields(())
    )
    upgraded = Upgraded()
    Http1Upgrade(upgraded, head).accept(pairs, upgraded)  # type: ignore[arg-type]
    client.receive_data(upgraded.response)
    assert client.handshake_exc is None
    assert client.subprotocol == "soap"
    client.events_received()
    return client, FrameCodec(deflate=deflate)


@settings(max_examples=examples(60), deadline=None)
@given(messages, agreements, st.booleans())
def test_a_client_of_theirs_and_this_codec_understand_each_other(
    sent: list[str | bytes], agreement: tuple[str, DeflateSettings] | None, halves: bool
) -> None:
    client, codec = connect(agreement)
    for message in sent:
        content = message.encode() if isinstance(message, str) else message
        send = client.send_text if isinstance(message, str) else client.send_binary
        if halves:
            middle = len(content) // 2
            send(content[:middle], fin=False)
            client.send_continuation(content[middle:], fin=True)
        else:
            send(content)
    wire = b"".join(client.data_to_send())
    received = codec.feed(wire)
    assert received == sent
    answer = b"".join(
        codec.encode_text(message) if isinstance(message, str) else codec.encode_binary(message)
        for message in sent
    )
    assert theirs(client, answer + codec.encode_ping(b"?")) == [*sent, Ping(b"?")]


@pytest.mark.parametrize("code", [None, 1000, 1012, 3000])
def test_a_close_goes_round(code: int | None) -> None:
    client, codec = connect(None)
    reason = "" if code is None else "späti"
    assert theirs(client, codec.encode_close(code, reason)) == [Close(code, reason)]
    wire = b"".join(client.data_to_send())
    assert codec.feed(wire) == [Close(code, reason)]


@settings(max_examples=examples(100), deadline=None)
@given(messages)
def test_frames_for_a_client_are_the_same_bytes(sent: list[str | bytes]) -> None:
    server, codec = Protocol(SERVER), FrameCodec()
    for message in sent:
        if isinstance(message, str):
            server.send_text(message.encode())
            encoded = codec.encode_text(message)
        else:
            server.send_binary(message)
            encoded = codec.encode_binary(message)
        assert b"".join(server.data_to_send()) == encoded


def test_a_server_of_theirs_reads_this_client() -> None:
    client, server = FrameCodec(client=True), Protocol(SERVER)
    wire = client.encode_text("ü" * 100) + client.encode_ping(b"p") + client.encode_binary(b"b")
    assert theirs(server, wire) == ["ü" * 100, Ping(b"p"), b"b"]
    back = Protocol(CLIENT)
    back.send_binary(b"b")
    assert FrameCodec().feed(b"".join(back.data_to_send())) == [b"b"]
