"""What an application is told, how a connection drains, and what has a time limit."""

from __future__ import annotations

from struct import pack

import pytest

from katana_asgi.http.refusal import Blame, Refusal
from katana_asgi.http2.frames import DATA, PING, PREFACE, RST_STREAM, SETTINGS, frame
from tests.http2.peer import GET, POST, Peer, at, headers

HOLD, HOLD_POST = at("/hold"), at("/hold", POST)


def u32(value: int) -> bytes:
    return pack(">L", value)


def last_ids(peer: Peer) -> list[int]:
    return [int.from_bytes(each.payload[:4]) for each in peer.received() if each.kind == "GOAWAY"]


# -- heads


def test_a_head_is_what_http_1_1_would_have_made_of_it():
    peer = Peer()
    fields = [*at("/a%20b?c=%20d"), ("accept", "*/*"), ("x-a", "1"), ("x-a", "2")]
    peer.send(headers(1, fields))
    head = peer.calls[0].head
    assert (head.method, head.version, head.scheme, head.authority) == (
        "GET",
        "2",
        "http",
        b"a.example",
    )
    assert (head.target, head.path, head.raw_path, head.query) == (
        b"/a%20b?c=%20d",
        "/a b",
        b"/a%20b",
        b"c=%20d",
    )
    assert head.fields == [
        (b"host", b"a.example"),
        (b"accept", b"*/*"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ]
    assert head.content_length == 0
    assert head.forwarded == ()


def test_host_comes_first_wherever_it_was():
    for fields in (
        [*GET, ("x", "y"), ("host", "a.example"), ("z", "")],
        [*GET[:2], GET[3], ("x", "y"), ("host", "a.example"), ("z", "")],
        [*GET, ("x", "y"), ("z", "")],
    ):
        peer = Peer()
        peer.send(headers(1, fields))
        assert peer.calls[0].head.fields == [(b"host", b"a.example"), (b"x", b"y"), (b"z", b"")]


def test_cookie_crumbs_are_joined_in_their_order():
    peer = Peer()
    crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3"), ("z", "")]
    peer.send(headers(1, [*GET, *crumbs]))
    assert peer.calls[0].head.fields[1:] == [
        (b"cookie", b"a=1; b=2; c=3"),
        (b"x", b"y"),
        (b"z", b""),
    ]


def test_forwarding_fields_are_found_where_they_end_up():
    peer = Peer()
    further = [
        ("x-forwarded-for", "192.0.2.1"),
        ("cookie", "a=1"),
        ("host", "a.example"),
        ("cookie", "b=2"),
        ("x-forwarded-proto", "https"),
    ]
    peer.send(headers(1, [*GET, *further]))
    head = peer.calls[0].head
    assert [head.fields[index][0] for index in head.forwarded] == [
        b"x-forwarded-for",
        b"x-forwarded-proto",
    ]


def test_how_much_content_follows():
    for fields, end, expected in (
        (HOLD_POST, True, 0),
        (HOLD_POST, False, None),
        ([*HOLD_POST, ("content-length", "17")], False, 17),
        ([*HOLD_POST, ("content-length", "0")], False, 0),
    ):
        peer = Peer()
        peer.send(headers(1, fields, end=end))
        assert peer.calls[0].head.content_length == expected


def test_what_the_fields_ask_of_http_2():
    peer = Peer()
    further = [("expect", "100-continue"), ("te", "trailers"), ("priority", "u=1")]
    peer.send(headers(1, [*HOLD_POST, *further], end=False), headers(3, [*HOLD, ("via", "2 x")]))
    first, second = [call.checked for call in peer.calls]
    assert first.expects_continue
    assert first.takes_trailers
    assert first.priority == b"u=1"
    assert not first.mixed
    assert second.mixed
    assert not second.expects_continue


def test_an_extended_connect_says_what_it_wants():
    peer = Peer()
    fields = [(":method", "CONNECT"), *at("/chat?x=1")[1:], (":protocol", "websocket")]
    peer.send(headers(1, fields, end=False))
    checked = peer.calls[0].checked
    assert checked.protocol == b"websocket"
    assert (checked.head.method, checked.head.path) == ("CONNECT", "/chat")
    assert checked.head.content_length is None


# -- how a stream ends


def test_a_reset_reaches_the_application_at_once():
    peer = Peer()
    peer.send(headers(1, HOLD))
    assert not peer.calls[0].disconnected
    peer.connection.data_received(frame(RST_STREAM, 0, 1, u32(8)))
    assert peer.calls[0].disconnected


def test_a_lost_connection_reaches_every_application():
    peer = Peer()
    peer.send(headers(1, HOLD), headers(3, HOLD_POST, end=False))
    peer.transport.close()
    peer.loop.turn()
    assert [call.disconnected for call in peer.calls] == [True, True]
    assert peer.connection.orphans == 2


def test_a_failed_application_is_answered_before_its_head_and_reset_behind_it():
    peer = Peer()
    peer.send(headers(1, HOLD), headers(3, HOLD))
    failure = Refusal(500, "failed", (), Blame.APPLICATION)
    peer.calls[0].stream.refuse(failure)
    peer.calls[1].answer(b"begun", more=True)
    peer.calls[1].stream.refuse(failure)
    peer.loop.turn()
    assert peer.outcome() == ["1=500", "3=200", "3!INTERNAL_ERROR"]
    peer.send(headers(5))
    assert peer.outcome() == ["5=200"]


def test_an_upload_goes_on_for_a_moment_behind_an_early_answer_and_is_dropped():
    peer = Peer()
    peer.send(headers(1, at("/early", POST), end=False))
    assert peer.outcome() == ["1=200"]
    given_back = 0
    for _ in range(20):  # five times the window of the stream
        peer.send(frame(DATA, 0, 1, bytes(16384)))
        updates = [each for each in peer.received() if each.kind == "WINDOW_UPDATE"]
        given_back += sum(int.from_bytes(each.payload) for each in updates if each.stream == 1)
    assert given_back > 4 * 65535
    peer.send(frame(DATA, 1, 1, b""))
    assert peer.calls[0].content == b""
    assert peer.outcome() == []
    assert not peer.connection.open_streams
    peer.tick(5)
    assert peer.outcome() == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (at("/early", POST), 200),
        ([*POST, ("a", "b" * 300)], 431),
        ([(":method", "CONNECT"), POST[2]], 501),
    ],
)
def test_an_upload_that_does_not_end_behind_an_early_answer_is_reset_without_an_error(
    fields, status
):
    peer = Peer(limit_header_size=256)
    peer.send(headers(1, fields, end=False))
    assert peer.outcome() == [f"1={status}"]
    for _ in range(3):
        peer.send(frame(DATA, 0, 1, bytes(16384)))
        peer.tick(1)
    assert peer.outcome() == ["1!NO_ERROR"]
    peer.send(frame(DATA, 0, 1, bytes(16384)), frame(DATA, 1, 1, b""), headers(3))
    assert peer.outcome() == ["3=200"]


def test_a_drain_does_not_wait_long_for_an_upload_behind_an_early_answer():
    peer = Peer()
    peer.send(headers(1, at("/early", POST), end=False))
    peer.connection.shutdown()
    peer.send(frame(PING, 1, 0, b"draining"))
    peer.tick(3)
    assert peer.outcome() == ["1=200", "*NO_ERROR", "PING", "*NO_ERROR", "1!NO_ERROR", "*NO_ERROR"]
    assert peer.transport.closing


# -- draining


def test_a_drain_lets_in_what_is_on_its_way_and_then_nothing():
    peer = Peer()
    peer.send(headers(1, HOLD))
    peer.connection.shutdown()
    peer.loop.turn()
    found = peer.received()
    assert [each.kind for each in found] == ["GOAWAY", "PING"]
    assert int.from_bytes(found[0].payload[:4]) == 2**31 - 1
    peer.send(headers(3))
    assert peer.outcome() == ["3=200"]
    peer.send(frame(PING, 1, 0, found[1].payload))
    assert last_ids(peer) == [3]
    peer.send(headers(5), headers(7, POST, end=False), frame(DATA, 1, 7, b"x"))
    assert peer.outcome() == []
    assert len(peer.calls) == 2
    assert not peer.transport.closing
    peer.calls[0].answer()
    peer.loop.turn()
    assert peer.outcome() == ["1=200", "*NO_ERROR"]
    assert peer.transport.closing


def test_blocks_of_streams_that_are_not_served_keep_the_table_in_step():
    peer = Peer()
    peer.send(headers(1, HOLD_POST, end=False))
    peer.connection.shutdown()
    peer.loop.turn()
    peer.send(frame(PING, 1, 0, peer.received()[1].payload))
    peer.send(frame(1, 5, 3, b"\x40\x01x\x01a"))
    peer.send(frame(1, 5, 1, b"\xbe"))
    assert peer.calls[0].complete


def test_a_client_that_answers_no_ping_is_drained_after_a_second():
    peer = Peer()
    peer.send(headers(1, HOLD))
    peer.connection.shutdown()
    peer.tick(3)
    assert last_ids(peer) == [2**31 - 1, 1]


def test_an_idle_connection_drains_by_itself():
    peer = Peer()
    peer.connection.shutdown()
    peer.connection.shutdown()
    peer.connection.wind_down(5.0)
    peer.tick(3)
    assert last_ids(peer) == [2**31 - 1, 0]
    assert peer.transport.closing


def test_a_drain_before_the_handshake_waits_for_it_but_not_for_long():
    peer = Peer(handshake=False)
    peer.context.draining = True
    peer.connection.shutdown()
    peer.send(PREFACE + frame(SETTINGS, 0, 0, b"") + headers(1))
    assert peer.outcome() == ["*NO_ERROR", "PING", "SETTINGS", "1=200"]
    other = Peer(handshake=False)
    other.context.draining = True
    other.connection.shutdown()
    other.tick(3)
    assert other.transport.closing


# -- time


def test_an_idle_connection_is_closed_with_a_goaway():
    peer = Peer()
    peer.send(headers(1))
    peer.tick(70)
    assert not peer.transport.closing
    peer.tick(10)
    assert peer.outcome() == ["1=200", "*NO_ERROR"]
    assert peer.transport.closing


def test_pings_neither_keep_an_idle_connection_nor_end_it():
    peer = Peer()
    for _ in range(70):
        peer.send(frame(PING, 0, 0, bytes(8)))
        peer.tick(1)
    assert not peer.transport.closing
    for _ in range(10):
        peer.send(frame(PING, 0, 0, bytes(8)))
        peer.tick(1)
    assert peer.transport.closing


def test_a_connection_with_a_request_is_not_idle():
    peer = Peer()
    peer.send(headers(1, HOLD))
    peer.tick(300)
    assert not peer.transport.closing
    peer.calls[0].answer()
    peer.tick(70)
    assert not peer.transport.closing
    peer.tick(10)
    assert peer.transport.closing


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b"", "*NO_ERROR"),
        (PREFACE[:10], "*NO_ERROR"),
        (PREFACE, "*NO_ERROR"),
    ],
)
def test_a_handshake_has_its_time(begin, expected):
    peer = Peer(handshake=False)
    peer.send(begin)
    peer.tick(9)
    assert not peer.transport.ended
    peer.tick(4)
    assert peer.outcome() == [expected]
    assert peer.transport.closing


def test_settings_have_to_be_acknowledged_in_time():
    peer = Peer(ack=False)
    peer.send(headers(1, HOLD))
    peer.tick(9)
    assert peer.outcome() == []
    peer.tick(4)
    assert peer.outcome() == ["*SETTINGS_TIMEOUT"]
    assert peer.calls[0].disconnected


def test_a_header_block_has_to_be_completed_in_time():
    peer = Peer()
    peer.send(headers(1, more=True))
    peer.tick(9)
    assert not peer.transport.ended
    peer.tick(4)
    assert peer.outcome() == ["*PROTOCOL_ERROR"]


def test_a_window_that_stays_shut_ends_its_stream_only():
    peer = Peer(client=pack(">HL", 4, 0))
    peer.send(headers(1, HOLD), headers(3, HOLD))
    peer.calls[0].answer()
    peer.tick(65)
    assert peer.outcome() == ["1=200", "1!CANCEL"]
    assert not peer.context.clock.stalled
    peer.calls[1].answer(b"")
    peer.loop.turn()
    assert peer.outcome() == ["3=200"]


def test_a_window_of_a_few_bytes_does_not_count_as_progress():
    peer = Peer(client=pack(">HL", 4, 0))
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(bytes(100_000))
    for _ in range(70):
        peer.send(frame(8, 0, 1, u32(10)))
        peer.tick(1)
    assert "1!CANCEL" in peer.outcome()


def test_a_reader_that_is_only_slow_may_go_on():
    peer = Peer(client=pack(">HL", 4, 0))
    peer.send(frame(8, 0, 0, u32(2**20)), headers(1, HOLD))
    peer.calls[0].answer(bytes(100_000))
    for _ in range(180):
        peer.send(frame(8, 0, 1, u32(500)))
        peer.tick(1)
    assert peer.outcome() == ["1=200"]


def test_a_stream_that_waits_for_its_turn_may_wait_as_long_as_others_get_on():
    peer = Peer(client=pack(">HL", 4, 2**30))
    for number in (1, 3, 5):
        peer.send(headers(number, [*HOLD, ("priority", "u=3")]))
    for call in peer.calls:
        call.answer(bytes(100_000))
    for _ in range(300):
        peer.send(frame(8, 0, 0, u32(700)))
        peer.tick(1)
    assert peer.outcome() == ["1=200", "3=200", "5=200"]
    assert [call.stream.sent for call in peer.calls] == [100_000, 100_000, 75_535]
    peer.tick(70)
    assert peer.outcome() == ["5!CANCEL"]


def test_a_client_that_reads_nothing_at_all_is_let_go():
    peer = Peer(client=pack(">HL", 4, 2**20))
    peer.send(frame(8, 0, 0, u32(2**20)), headers(1, HOLD))
    peer.transport.hold()
    peer.calls[0].answer(bytes(500_000))
    peer.tick(70)
    assert peer.transport.closing
    assert peer.calls[0].disconnected or not peer.connection.streams


def test_after_an_error_the_connection_is_closed_in_a_moment():
    peer = Peer()
    peer.send(frame(PING, 0, 1, bytes(8)))
    assert peer.transport.ended
    assert not peer.transport.closing
    peer.tick(3)
    assert peer.transport.closing
