"""The control channel: messages arrive whole and in order, nothing blocks, ends are seen."""

from __future__ import annotations

import json
import os
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.worker.channel import MESSAGE_LIMIT, TEXT_LIMIT, UNSENT_LIMIT, Channel


def test_messages_arrive_in_order_in_both_directions() -> None:
    here, there = Channel.pair()
    assert there.send({"type": "ready", "addresses": ["http://127.0.0.1:1"]})
    assert there.send({"type": "heartbeat", "lag": 0.001, "requests": 2, "connections": 1})
    assert here.receive() == [
        {"type": "ready", "addresses": ["http://127.0.0.1:1"]},
        {"type": "heartbeat", "lag": 0.001, "requests": 2, "connections": 1},
    ]
    assert here.send({"type": "stop"})
    assert there.receive() == [{"type": "stop"}]
    assert not here.closed
    here.close()
    there.close()


def test_receiving_nothing_does_not_wait() -> None:
    here, there = Channel.pair()
    assert here.receive() == []
    assert not here.closed
    here.close()
    there.close()


def test_it_can_be_watched() -> None:
    here, there = Channel.pair()
    assert select.select([here], [], [], 0) == ([], [], [])
    there.send({"type": "retiring"})
    assert select.select([here], [], [], 0)[0] == [here]
    here.close()
    there.close()
    assert here.fileno() == -1


def test_no_end_is_inherited_by_an_executed_program() -> None:
    here, there = Channel.pair()
    assert not os.get_inheritable(here.fileno())
    assert not os.get_inheritable(there.fileno())
    here.close()
    there.close()


@given(
    texts=st.lists(st.text(max_size=20), max_size=5),
    cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=6),
)
def test_any_split_of_the_bytes_gives_the_same_messages(texts: list[str], cuts: list[int]) -> None:
    messages = [{"type": "failed", "reason": text} for text in texts]
    data = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    raw, peer = socket.socketpair()
    channel = Channel(peer)
    received = []
    places = sorted(min(cut, len(data)) for cut in cuts)
    for begin, end in zip([0, *places], [*places, len(data)], strict=True):
        raw.sendall(data[begin:end])
        received += channel.receive()
    raw.close()
    received += channel.receive()
    assert received == messages
    assert channel.closed
    channel.close()


def test_the_last_words_are_read_before_the_end() -> None:
    here, there = Channel.pair()
    there.send({"type": "failed", "status": 3, "reason": "no"})
    there.close()
    assert here.receive() == [{"type": "failed", "status": 3, "reason": "no"}]
    assert here.closed
    assert here.receive() == []
    here.close()


def test_a_peer_that_went_with_messages_unread_is_gone_without_an_error() -> None:
    here, there = Channel.pair()
    here.send({"type": "stop"})
    there.close()
    assert here.receive() == []
    assert here.closed
    assert not here.send({"type": "quit"})
    here.close()


def test_sending_to_a_peer_that_has_gone_says_so() -> None:
    here, there = Channel.pair()
    there.close()
    assert not here.send({"type": "stop"})
    assert here.closed
    here.close()


@pytest.mark.parametrize(
    "line", [b"", b"no json", b"[1]", b'"ready"', b"{}", b"\xff\xfe", b"[" * 60000]
)
def test_a_line_that_is_no_message_is_dropped_alone(line: bytes) -> None:
    raw, peer = socket.socketpair()
    channel = Channel(peer)
    raw.sendall(b'{"type":"ready"}\n' + line + b'\n{"type":"retiring"}\n')
    assert channel.receive() == [{"type": "ready"}, {"type": "retiring"}]
    assert not channel.closed
    raw.close()
    channel.close()


def test_a_line_without_end_closes_the_channel() -> None:
    raw, peer = socket.socketpair()
    raw.setblocking(False)
    channel = Channel(peer)
    sent = 0
    while not channel.closed and sent < 10 * MESSAGE_LIMIT:
        sent += raw.send(b"x" * 4096)
        assert channel.receive() == []
    assert channel.closed
    assert sent <= MESSAGE_LIMIT + 4096
    raw.close()
    channel.close()


def test_a_peer_that_does_not_read_blocks_nobody_and_loses_only_the_newest() -> None:
    here, there = Channel.pair()
    taken = []
    number = 0
    while here.send({"type": "heartbeat", "requests": number, "padding": "x" * 1000}):
        taken.append(number)
        number += 1
    assert len(taken) * 1000 > UNSENT_LIMIT
    received: list[int] = []
    while len(received) < len(taken):
        assert here.flush()
        received += [message["requests"] for message in there.receive()]
    assert received == taken
    assert here.send({"type": "stop"})
    assert there.receive() == [{"type": "stop"}]
    here.close()
    there.close()


def test_a_long_reason_keeps_its_beginning_and_its_end() -> None:
    here, there = Channel.pair()
    there.send({"type": "failed", "status": 3, "reason": "Traceback" + "x" * 10**6 + "ValueError"})
    (message,) = here.receive()
    assert message["status"] == 3
    assert message["reason"].startswith("Tracebackx")
    assert message["reason"].endswith("xValueError")
    assert len(message["reason"]) <= TEXT_LIMIT + 5
    here.close()
    there.close()


def test_a_message_that_cannot_be_shortened_is_refused() -> None:
    here, there = Channel.pair()
    with pytest.raises(ValueError, match="more than 65536"):
        here.send({"type": "ready", "addresses": ["x" * 100] * 1000})
    assert there.receive() == []
    here.close()
    there.close()
