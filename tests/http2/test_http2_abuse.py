"""Floods end in ENHANCE_YOUR_CALM, and clients that work never do (RFC 9113 §10.5)."""

from __future__ import annotations

from functools import partial
from struct import pack

import pytest

from katana_asgi.http2 import abuse
from katana_asgi.http2.frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    LARGEST_ID,
    PING,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from tests.http2.peer import GET, POST, Peer, at, block, headers

HOLD, HOLD_POST = at("/hold"), at("/hold", POST)
CALM = ["*ENHANCE_YOUR_CALM"]


def u32(value: int) -> bytes:
    return pack(">L", value)


def rst(stream: int) -> bytes:
    return frame(RST_STREAM, 0, stream, u32(8))


def numbers(count: int) -> range:
    return range(1, 2 * count, 2)


FLOODS = {
    "PING": frame(PING, 0, 0, bytes(8)),
    "PING answers": frame(PING, 1, 0, bytes(8)),
    "SETTINGS": frame(SETTINGS, 0, 0, b""),
    "SETTINGS that move all windows": frame(SETTINGS, 0, 0, pack(">HL", 4, 1)),
    "WINDOW_UPDATE": frame(WINDOW_UPDATE, 0, 0, u32(1)),
    "PRIORITY": frame(PRIORITY, 0, 9, bytes(5)),
    "PRIORITY_UPDATE": frame(PRIORITY_UPDATE, 0, 0, u32(9) + b"u=1"),
    "unknown frames": frame(0x42, 0, 0, b""),
    "GOAWAY": headers(1, HOLD) + frame(GOAWAY, 0, 0, bytes(8)),
    "empty DATA": frame(DATA, 0, 1, b""),
    "tiny DATA that is not read": frame(DATA, 0, 1, b"x"),
    "padding": frame(DATA, 8, 1, b"\x05" + bytes(5)),
    "empty DATA on a stream that was reset": frame(DATA, 0, 3, b""),
    "trailers on a stream that was reset": headers(3, []),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection_and_leaves_nothing_behind(name):
    peer = Peer()
    sent = FLOODS[name]
    if "DATA" in name or name == "padding":
        peer.send(headers(1, HOLD_POST, end=False))
    elif name == "GOAWAY":
        peer.send(headers(1, HOLD))
        sent = frame(GOAWAY, 0, 0, bytes(8))
    if "reset" in name:
        peer.send(headers(3, HOLD_POST, end=False) + frame(WINDOW_UPDATE, 0, 3, u32(0)))
    for _ in range(100):
        peer.send(sent * 100)
        if peer.transport.ended:
            break
    assert [each for each in peer.outcome() if each.startswith("*")] == CALM
    written = len(peer.transport.sent)
    peer.send(sent * 100)
    assert len(peer.transport.sent) == written
    assert all(call.disconnected for call in peer.calls)
    peer.tick(3)
    assert peer.transport.closing


def test_a_flood_that_does_not_read_answers_is_not_read_on(monkeypatch):
    endless = partial(abuse.Budget, capacity=10**6, rate=0, reason="")
    monkeypatch.setattr(abuse, "overhead_budget", endless)
    peer = Peer()
    peer.transport.hold()
    peer.connection.pause_writing()
    for _ in range(15):
        peer.send(frame(PING, 0, 0, bytes(8)) * 100)
    for _ in range(20):
        peer.tick(1)
        peer.send(frame(SETTINGS, 0, 0, b"") * 8)
    while peer.transport.reading:
        peer.send(frame(PING, 0, 0, bytes(8)) * 100)
    assert peer.connection.sender.size < 70_000
    peer.connection.resume_writing()
    assert peer.transport.reading


def test_many_requests_in_one_read_leave_turns_of_the_loop_to_others():
    peer = Peer()
    read = b"".join([headers(number) for number in numbers(100)])
    peer.connection.data_received(read + frame(PING, 0, 0, bytes(8))[:9])
    assert 20 < len(peer.calls) < 50
    assert not peer.transport.reading
    peer.loop.turn()
    assert len(peer.calls) == 100
    assert peer.transport.reading
    assert [frame.stream for frame in peer.received() if frame.kind == "HEADERS"] == [*numbers(100)]
    peer.send(bytes(8))
    assert peer.outcome() == ["PING"]
    peer.connection.data_received(frame(PING, 0, 0, bytes(8)) * 1000)
    assert not peer.transport.reading
    peer.loop.turn()
    assert peer.transport.reading
    assert len(peer.outcome()) == 1000


def test_a_read_whose_rest_was_put_off_is_dropped_where_the_connection_ends():
    peer = Peer()
    read = b"".join([headers(number) for number in numbers(100)])
    peer.connection.data_received(read)
    peer.transport.close()
    calls = len(peer.calls)
    peer.loop.turn()
    assert len(peer.calls) == calls
    assert peer.context.closed == [peer.connection]


def test_rapid_reset_is_told_to_calm_down_and_runs_few_calls_at_once():
    peer = Peer(limit_streams=100)
    for number in numbers(10_000):
        peer.send(headers(number, HOLD) + rst(number))
        if peer.transport.ended:
            break
    running = [call for call in peer.calls if not call.task.done()]
    assert len(running) == 100
    assert all(call.disconnected for call in running)
    outcome = peer.outcome()
    assert outcome[-1:] == CALM
    assert outcome[0] == "201!REFUSED_STREAM"


def test_calls_that_return_make_room_again():
    peer = Peer(limit_streams=10)
    for number in numbers(10):
        peer.send(headers(number, HOLD) + rst(number))
    peer.send(headers(101))
    assert peer.outcome() == ["101!REFUSED_STREAM"]
    peer.calls[0].task.finish()
    peer.send(headers(103))
    assert peer.outcome() == ["103=200"]


MADE_RESETS = {
    "a window of nothing": (HOLD, True, lambda n: frame(WINDOW_UPDATE, 0, n, u32(0))),
    "a window too large": (HOLD, True, lambda n: frame(WINDOW_UPDATE, 0, n, u32(LARGEST_ID))),
    "DATA behind the end": (HOLD, True, lambda n: frame(DATA, 0, n, b"x")),
    "HEADERS behind the end": (HOLD, True, lambda n: headers(n, [])),
    "PRIORITY of a wrong length": (HOLD, True, lambda n: frame(PRIORITY, 0, n, b"x")),
    "trailers without an end": (HOLD_POST, False, lambda n: headers(n, [], end=False)),
    "content of another length": (
        [*HOLD_POST, ("content-length", "3")],
        False,
        lambda n: frame(DATA, 1, n, b"x"),
    ),
}


@pytest.mark.parametrize("name", MADE_RESETS)
def test_resets_that_the_server_is_made_to_send_count_alike(name):
    fields, end, provoke = MADE_RESETS[name]
    peer = Peer(limit_streams=100)
    for number in numbers(10_000):
        peer.send(headers(number, fields, end=end) + provoke(number))
        if peer.transport.ended:
            break
    assert len([call for call in peer.calls if not call.task.done()]) == 100
    # A frame of a wrong length on a stream that was refused is an error of the connection.
    assert peer.outcome()[-1] in (*CALM, "*FRAME_SIZE_ERROR")


def test_a_browser_that_abandons_page_after_page_may_go_on():
    peer = Peer()
    number = 1
    for _ in range(40):
        for _ in range(60):
            peer.send(headers(number, HOLD))
            number += 2
        for open_stream in range(number - 120, number, 2):
            peer.send(rst(open_stream))
        for call in peer.calls:
            if not call.task.done():
                call.task.finish()
        for _ in range(20):
            peer.send(headers(number))
            number += 2
        peer.tick(1)
    assert not peer.transport.ended


def test_a_client_that_updates_windows_and_pings_for_all_it_gets_may_go_on():
    peer = Peer()
    number = 1
    for _ in range(3000):
        peer.send(
            frame(PRIORITY_UPDATE, 0, 0, u32(number) + b"u=1"),
            headers(number),
            frame(WINDOW_UPDATE, 0, 0, u32(2)),
            frame(PING, 0, 0, bytes(8)),
        )
        number += 2
    assert not peer.transport.ended


def test_a_download_whose_client_updates_both_windows_for_every_frame_may_go_on():
    peer = Peer()
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(b"", more=True)
    for _ in range(20_000):
        peer.calls[0].stream.send_content(bytes(1000), True)
        peer.send(
            frame(WINDOW_UPDATE, 0, 0, u32(1000)),
            frame(WINDOW_UPDATE, 0, 1, u32(1000)),
            frame(PING, 0, 0, bytes(8)),
        )
    assert not peer.transport.ended


def test_small_messages_that_the_application_reads_may_go_on():
    peer = Peer()
    peer.send(headers(1, POST, end=False))
    for _ in range(20_000):
        peer.send(frame(DATA, 0, 1, b"message"))
    assert not peer.transport.ended


def test_streams_above_the_limit_are_refused_and_the_connection_lives():
    peer = Peer(limit_streams=100)
    peer.send(b"".join(headers(number, HOLD) for number in numbers(1000)))
    assert peer.outcome() == [f"{number}!REFUSED_STREAM" for number in range(201, 2000, 2)]
    assert len(peer.calls) == 100
    peer.calls[0].answer()
    peer.loop.turn()
    peer.send(headers(2001))
    assert peer.outcome() == ["1=200", "2001=200"]


def test_a_header_bomb_is_a_small_list():
    peer = Peer()
    entry = b"\x40\x01x\x7f\xd1\x1e" + b"a" * 4048
    peer.send(frame(HEADERS, 5, 1, block(GET) + entry))
    bomb = block(GET) + b"\xbe" * 16_000
    peer.send(frame(HEADERS, 5, 3, bomb), headers(5))
    assert peer.outcome() == ["1=200", "3=431", "5=200"]


@pytest.mark.parametrize("piece", [b"", b"\x90", b"\x90" * 4000])
def test_a_block_that_goes_on_and_on_is_cut_off(piece):
    peer = Peer()
    peer.send(frame(HEADERS, 1, 1, block(GET)))
    for _ in range(1000):
        peer.send(frame(CONTINUATION, 0, 1, piece))
        if peer.transport.ended:
            break
    assert peer.outcome() == CALM
    assert not peer.calls


def test_time_refills_a_budget_but_not_above_its_first_number():
    peer = Peer()
    clock = peer.context.clock
    budget = abuse.Budget(clock, 10, 2.0, "enough")
    budget.earn(100)
    budget.spend(10)
    clock.now += 3
    budget.spend(6)
    with pytest.raises(abuse.ConnectionFault, match="enough"):
        budget.spend(1)
    clock.now += 1000
    budget.spend(1)
    budget.earn(100)
    budget.spend(10)
    clock.now += 1
    with pytest.raises(abuse.ConnectionFault):
        budget.spend(3)
