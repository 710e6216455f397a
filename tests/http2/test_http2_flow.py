"""Windows both ways (RFC 9113 §5.2, §6.9): nothing stalls, nothing leaks, nothing grows."""

from __future__ import annotations

import asyncio
from struct import iter_unpack, pack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katana_asgi.http2.flow import (
    CONNECTION_WINDOW,
    GROWTH_ALLOWANCE,
    LARGEST_STREAM_WINDOW,
    STREAM_WINDOW,
    Allowance,
    ReceiveWindow,
)
from katana_asgi.http2.frames import DATA, SETTINGS, WINDOW_UPDATE, frame
from katana_asgi.http2.stream import HIGH_WATER
from katana_asgi.http2.writing import CONNECTION_HIGH_WATER
from tests.http2.peer import POST, Peer, at, headers
from tests.support import within

if TYPE_CHECKING:
    from tests.http2.peer import Frame

HOLD, HOLD_POST, EARLY_POST = at("/hold"), at("/hold", POST), at("/early", POST)


def data(stream: int, content: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, int(end), stream, content)


def widen(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4))


def initial_window(size: int) -> bytes:
    return pack(">HL", 4, size)


def updates(found: list[Frame]) -> list[tuple[int, int]]:
    return [
        (each.stream, int.from_bytes(each.payload))
        for each in found
        if each.kind == "WINDOW_UPDATE"
    ]


# -- what a client sends


@settings(deadline=None)
@given(st.lists(st.integers(1, 40_000), max_size=60), st.integers(100, 70_000))
def test_a_window_is_given_back_in_large_steps_and_none_of_it_is_lost(sizes, size):
    window = ReceiveWindow(size)
    left = size
    owed = 0
    for each in sizes:
        allowed = min(each, left)
        assert window.received(allowed)
        left -= allowed
        owed += allowed
        increment = window.taken(allowed)
        assert increment == 0 or increment * 2 >= size
        owed -= increment
        left += increment
        assert left + owed == size
        assert owed * 2 < size
    assert not window.received(left + 1)


def test_growth_has_an_end_and_comes_out_of_one_allowance():
    allowance = Allowance()
    windows = [ReceiveWindow(STREAM_WINDOW) for _ in range(100)]
    for window in windows:
        for _ in range(10):
            window.grow(allowance)
    assert allowance.left == 0
    assert sum(window.size - STREAM_WINDOW for window in windows) == GROWTH_ALLOWANCE
    assert max(window.size for window in windows) == LARGEST_STREAM_WINDOW
    for window in windows:
        window.release(allowance, STREAM_WINDOW)
    assert allowance.left == GROWTH_ALLOWANCE


def test_settings_come_first_and_say_what_is_allowed():
    peer = Peer(limit_streams=77, limit_header_size=5000)
    first = peer.opening[0]
    assert (first.kind, first.flags, first.stream) == ("SETTINGS", 0, 0)
    assert dict(iter_unpack(">HL", first.payload)) == {
        1: 4096, 3: 77, 4: 65535, 5: 16384, 6: 5000, 8: 1, 9: 1,
    }  # fmt: skip


def test_padding_is_given_back_at_once():
    peer = Peer()
    peer.send(headers(1, HOLD_POST, end=False))
    padded = frame(DATA, 8, 1, b"\xff" + b"x" * 200 + bytes(255))
    peer.send(padded * 200)  # more than the window, but for the padding
    assert peer.calls[0].received == 200 * 200
    given = [each for each in peer.received() if (each.kind, each.stream) == ("WINDOW_UPDATE", 1)]
    assert sum(int.from_bytes(each.payload) for each in given) > 32_000


def test_the_window_of_the_connection_is_widened_at_the_start():
    peer = Peer()
    assert [each.kind for each in peer.opening] == ["SETTINGS", "WINDOW_UPDATE"]
    assert updates(peer.opening) == [(0, CONNECTION_WINDOW - 65_535)]


def test_an_upload_whose_application_reads_gets_ever_larger_windows_and_few_updates():
    peer = Peer()
    peer.send(headers(1, POST, end=False))
    window = STREAM_WINDOW
    sent = 0
    seen = []
    while sent < 100 * 1024 * 1024:
        size = min(16384, window)
        assert size > 0, "stalled"
        peer.send(data(1, bytes(size)))
        peer.calls[0].content = b""
        sent += size
        window -= size
        for stream, increment in updates(peer.received()):
            seen.append(stream)
            if stream:
                window += increment
    assert window >= LARGEST_STREAM_WINDOW // 2
    assert len(seen) < sent / (256 * 1024)
    peer.send(data(1, b"", end=True))
    assert peer.outcome() == ["1=200"]
    assert peer.connection.allowance.left == GROWTH_ALLOWANCE


def test_an_application_that_takes_its_time_keeps_the_first_window():
    peer = Peer()
    peer.send(headers(1, HOLD_POST, end=False))
    for _ in range(5):
        peer.send(data(1, bytes(16384)) * 3)
        peer.tick(2)
        peer.calls[0].stream.content_taken(3 * 16384)
        peer.loop.turn()
        assert updates(peer.received()) == [(1, 3 * 16384)]
    assert peer.connection.allowance.left == GROWTH_ALLOWANCE


def test_an_application_that_does_not_read_holds_up_no_other_stream():
    peer = Peer()
    for number in range(1, 200, 2):
        peer.send(headers(number, HOLD_POST, end=False), data(number, bytes(16383)) * 4)
    peer.send(headers(201, POST, end=False))
    for _ in range(300):
        peer.send(data(201, bytes(16384)))
    peer.send(data(201, b"", end=True))
    assert peer.outcome()[-1] == "201=200"


@pytest.mark.parametrize(
    "end",
    ["complete", "reset by the client", "reset by the server", "early answer", "too much", "lost"],
)
def test_what_a_stream_held_is_given_back_however_it_ends(end):
    peer = Peer()
    left = CONNECTION_WINDOW
    for number in range(1, 4001, 2):
        path = {"complete": "/", "early answer": "/early"}.get(end, "/hold")
        peer.send(headers(number, at(path, POST), end=False))
        content = data(number, bytes(16384))
        left -= 16384
        if end == "complete":
            content += data(number, bytes(100), end=True)
            left -= 100
        elif end == "reset by the client":
            content += frame(3, 0, number, bytes(4))
        elif end == "reset by the server":
            content += widen(number, 0)
        elif end == "too much":
            content += data(number, bytes(16384)) * 4
            left -= 4 * 16384
        peer.send(content)
        for call in peer.calls:
            call.task.finish()
        peer.calls.clear()
        left += sum(increment for stream, increment in updates(peer.received()) if not stream)
        if peer.transport.ended:  # so many were reset that the client is told to calm down
            break
        assert left > CONNECTION_WINDOW // 2
    if end == "lost":
        peer.transport.close()
        peer.loop.turn()
    assert not peer.connection.streams or end == "lost"
    assert len(peer.connection.ended) <= 128
    assert peer.connection.allowance.left == GROWTH_ALLOWANCE
    assert peer.connection.sender.queued == 0


# -- what a client gets


def test_content_waits_for_its_window_and_comes_out_whole():
    peer = Peer(client=initial_window(1))
    content = bytes(range(256))
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(content)
    peer.loop.turn()
    found = peer.received()
    assert [(each.kind, each.payload) for each in found[1:]] == [("DATA", content[:1])]
    sent = b""
    for increment in (1, 10, 100, 1000):
        peer.send(widen(1, increment))
        found = peer.received()
        sent += b"".join(each.payload for each in found)
    assert sent == content[1:]
    assert found[-1].ends
    assert all(each.payload for each in found)


def test_a_change_of_the_initial_window_moves_open_streams_below_zero_and_back():
    peer = Peer(client=initial_window(10))
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(bytes(30))
    peer.loop.turn()
    assert peer.content(1) == bytes(10)
    peer.send(frame(SETTINGS, 0, 0, initial_window(2)))  # the window is -8 now
    peer.send(widen(1, 8))
    assert peer.content(1) == b""
    peer.send(widen(1, 1))
    assert peer.content(1) == bytes(1)
    peer.send(frame(SETTINGS, 0, 0, initial_window(100)))
    found = peer.received()
    assert [each.kind for each in found] == ["SETTINGS", "DATA"]
    assert len(found[1].payload) == 19
    assert found[1].ends


def test_the_end_needs_no_window():
    peer = Peer(client=initial_window(0))
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(b"", more=True)
    peer.calls[0].stream.send_content(b"", False)
    peer.loop.turn()
    found = peer.received()
    assert [(each.kind, each.ends) for each in found] == [("HEADERS", False), ("DATA", True)]


def test_frames_are_as_large_as_the_client_takes_them():
    for size, largest in ((16384, 16384), (20_000, 20_000), (2**24 - 1, 64 * 1024)):
        peer = Peer(client=pack(">HL", 5, size) + initial_window(2**20))
        peer.send(widen(0, 2**20), headers(1, HOLD))
        peer.calls[0].answer(bytes(300_000))
        peer.loop.turn()
        sizes = [len(each.payload) for each in peer.received() if each.kind == "DATA"]
        assert max(sizes) == largest
        assert sum(sizes) == 300_000


def test_a_block_above_the_frame_size_is_continued():
    from katana_asgi.codec import ResponseFields

    peer = Peer()
    peer.send(headers(1, HOLD))
    fields = ResponseFields(((b"x-large", b"a" * 40_000),))
    peer.calls[0].stream.send_response(200, fields, 2, b"ok", False)
    seen = len(peer.transport.sent)
    peer.loop.turn()
    written = bytes(peer.transport.sent[seen:])
    kinds = []
    block = b""
    while written:
        size, kind, flags = int.from_bytes(written[:3]), written[3], written[4]
        kinds.append((kind, flags, size))
        if kind in (1, 9):
            block += written[9 : 9 + size]
        written = written[9 + size :]
    assert [kind for kind, _, _ in kinds] == [1, 9, 9, 0]
    assert [flags for _, flags, _ in kinds] == [0, 0, 4, 1]
    assert max(size for _, _, size in kinds) == 16384
    assert (b"x-large", b"a" * 40_000) in peer.decoder.decode(block, raw=True)


def test_everything_of_one_turn_leaves_in_one_write():
    peer = Peer()
    before = peer.transport.writes
    peer.send(b"".join(headers(number) for number in range(1, 41, 2)))
    assert peer.transport.writes == before + 1
    assert len(peer.outcome()) == 20


async def test_a_stream_without_a_window_makes_its_application_wait_and_no_other():
    peer = Peer(client=initial_window(0))
    peer.send(headers(1, HOLD), headers(3, HOLD))
    slow, quick = peer.calls
    slow.answer(bytes(HIGH_WATER + 1), more=True)
    assert slow.stream.write_paused
    waiting = asyncio.ensure_future(slow.stream.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    peer.send(widen(3, 1000))
    quick.answer(bytes(1000))
    assert not quick.stream.write_paused
    peer.loop.turn()
    assert peer.content(3) == bytes(1000)
    peer.send(widen(1, 2))
    await within(waiting)


async def test_a_reset_ends_the_waiting_of_an_application():
    peer = Peer(client=initial_window(0))
    peer.send(headers(1, HOLD))
    peer.calls[0].answer(bytes(HIGH_WATER + 1), more=True)
    waiting = asyncio.ensure_future(peer.calls[0].stream.drain())
    await asyncio.sleep(0)
    peer.send(frame(3, 0, 1, bytes(4)))
    await within(waiting)
    assert peer.calls[0].disconnected
    assert peer.connection.sender.queued == 0


def test_stalled_streams_hold_a_message_each_and_leave_room_for_others():
    peer = Peer(client=initial_window(0))
    for number in range(1, 41, 2):
        peer.send(headers(number, HOLD))
    for call in peer.calls:
        call.answer(b"", more=True)
        while not call.stream.write_paused:
            call.stream.send_content(bytes(16384), True)
    assert peer.connection.sender.queued <= CONNECTION_HIGH_WATER + 20 * 16384 + HIGH_WATER
    peer.send(headers(101, HOLD), widen(101, 20_000))
    peer.calls[-1].answer(bytes(16384))
    peer.loop.turn()
    assert any(each.stream == 101 and each.ends for each in peer.received())


def test_a_client_that_does_not_read_has_everything_kept_back_and_gets_it_later():
    peer = Peer(client=initial_window(2**20))
    peer.send(widen(0, 2**20), headers(1, HOLD))
    peer.transport.hold()
    call = peer.calls[0]
    call.answer(b"", more=True)
    sent = 0
    while not call.stream.write_paused:
        call.stream.send_content(bytes(16384), True)
        sent += 16384
        peer.loop.turn()
    assert peer.transport.get_write_buffer_size() < 3 * 65536
    assert peer.connection.sender.queued <= HIGH_WATER + 16384
    peer.transport.take()
    peer.loop.turn()
    assert len(peer.content(1)) == sent


def test_trailers_follow_what_waits():
    for window in (0, 100):
        peer = Peer(client=initial_window(window))
        peer.send(headers(1, HOLD))
        call = peer.calls[0]
        call.answer(b"content", more=True)
        call.stream.send_trailers(((b"grpc-status", b"0"),))
        call.task.finish()
        peer.send(widen(1, 100))
        _, content, trailers = peer.received()
        assert (content.payload, content.ends) == (b"content", False)
        assert (trailers.fields, trailers.ends) == ([(b"grpc-status", b"0")], True)
        assert not peer.connection.streams


def test_an_informational_response_comes_before_the_response():
    peer = Peer()
    peer.send(headers(1, HOLD_POST, end=False))
    peer.calls[0].stream.send_informational(100, ())
    peer.calls[0].stream.send_informational(103, ((b"link", b"</a>"),))
    peer.send(data(1, b"", end=True))
    peer.calls[0].answer()
    peer.loop.turn()
    found = peer.received()
    assert [each.status for each in found if each.kind == "HEADERS"] == [100, 103, 200]
    assert [each.ends for each in found] == [False, False, False, True]


def test_urgent_content_overtakes_what_is_under_way():
    peer = Peer(client=initial_window(2**20))
    peer.send(widen(0, 2**20), headers(1, [*HOLD, ("priority", "u=7")]))
    peer.transport.hold()
    peer.calls[0].answer(bytes(500_000))
    peer.loop.turn()
    peer.send(headers(3, [*HOLD, ("priority", "u=0")]))
    peer.calls[1].answer(bytes(50_000))
    before = len(peer.transport.sent)
    peer.transport.take()
    peer.loop.turn()
    peer.seen = before
    order = [each.stream for each in peer.received() if each.kind == "DATA"]
    assert set(order[:4]) == {3}
    assert order[4] == 1


@pytest.mark.parametrize("aware", [True, False])
def test_who_knows_priorities_gets_one_response_after_the_other_who_does_not_all_at_once(aware):
    further = [("priority", "u=3")] if aware else []
    peer = Peer(client=initial_window(0))
    peer.send(headers(1, [*HOLD, *further]), headers(3, [*HOLD, *further]))
    for call in peer.calls:
        call.answer(bytes(100_000))
    peer.loop.turn()
    peer.received()
    peer.send(widen(0, 2**20), widen(1, 2**20) + widen(3, 2**20))
    order = [each.stream for each in peer.received() if each.kind == "DATA"]
    assert sorted(order) == [1] * 7 + [3] * 7
    assert (order == sorted(order)) is aware
    if not aware:
        assert abs(order[:6].count(1) - 3) <= 1
