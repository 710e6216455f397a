"""The tables of states say something about everything, and what RFC 9113 says."""

from __future__ import annotations

import itertools

import pytest

from katana_asgi.http2.faults import PROTOCOL_ERROR, STREAM_CLOSED
from katana_asgi.http2.states import (
    ACCEPT,
    CONNECTION_STATES,
    FRAME_RULES,
    IGNORE,
    STREAM_STATES,
    Change,
    ConnectionEvent,
    ConnectionState,
    Received,
    StreamState,
)

LIVE = (StreamState.OPEN, StreamState.REMOTE_ENDED, StreamState.LOCAL_ENDED)


def test_every_frame_has_a_rule_in_every_state():
    assert len(FRAME_RULES) == len(StreamState)
    assert all(len(row) == len(Received) for row in FRAME_RULES)


@pytest.mark.parametrize(
    ("state", "received"), [*itertools.product(StreamState, Received)], ids=lambda each: each.name
)
def test_a_frame_is_accepted_or_ignored_or_one_kind_of_error(state, received):
    verdict = FRAME_RULES[state][received]
    if verdict.accepted:
        assert verdict == ACCEPT
        assert state in LIVE or (state, received) == (StreamState.IDLE, Received.HEADERS)
    elif verdict.code is None:
        assert verdict == IGNORE
        # RFC 9113 §5.1: what was on its way before the peer knew, and what means nothing any more
        assert state not in (StreamState.IDLE, StreamState.OPEN, StreamState.REMOTE_ENDED)
    else:
        assert verdict.code in (PROTOCOL_ERROR, STREAM_CLOSED)
        # An idle stream cannot be reset, so what is wrong on it is wrong for all.
        assert verdict.connection or state is not StreamState.IDLE


def test_a_live_stream_can_always_be_reset_and_widened():
    for state in LIVE:
        assert FRAME_RULES[state][Received.RST_STREAM] == ACCEPT
    assert FRAME_RULES[StreamState.OPEN][Received.WINDOW_UPDATE] == ACCEPT
    assert FRAME_RULES[StreamState.REMOTE_ENDED][Received.WINDOW_UPDATE] == ACCEPT


@pytest.mark.parametrize(
    ("state", "change"), [*itertools.product(StreamState, Change)], ids=lambda each: each.name
)
def test_a_change_leads_somewhere_or_cannot_be(state, change):
    row = STREAM_STATES[state] if state <= StreamState.LOCAL_ENDED else (None,) * len(Change)
    to = row[change]
    if to is None:
        assert (
            (state is StreamState.IDLE) is not (change is Change.OPENED)
            or state not in LIVE
            or (state, change)
            in (
                (StreamState.REMOTE_ENDED, Change.REMOTE_END),
                (StreamState.LOCAL_ENDED, Change.LOCAL_END),
            )
        )
    elif change in (Change.LOCAL_RESET, Change.REMOTE_RESET):
        assert state in LIVE
        assert to in (StreamState.RESET, StreamState.CANCELLED)
    else:
        assert to > state or to is StreamState.ENDED


def test_a_stream_ends_once_both_sides_have_ended_in_either_order():
    for order in itertools.permutations((Change.REMOTE_END, Change.LOCAL_END)):
        state = StreamState.IDLE
        for change in (Change.OPENED, *order):
            to = STREAM_STATES[state][change]
            assert to is not None
            state = to
        assert state is StreamState.ENDED


@pytest.mark.parametrize(
    ("state", "event"),
    [*itertools.product(ConnectionState, ConnectionEvent)],
    ids=lambda each: each.name,
)
def test_a_connection_only_moves_on(state, event):
    to = CONNECTION_STATES.get((state, event), state)
    assert to >= state
    if event is ConnectionEvent.LOST:
        assert to is ConnectionState.LOST
    if event is ConnectionEvent.FAULT:
        assert to is max(state, ConnectionState.FAILED)


def test_every_state_of_a_connection_can_be_reached():
    found = {ConnectionState.PREFACE}
    for _ in ConnectionState:
        found |= {to for (state, _), to in CONNECTION_STATES.items() if state in found}
    assert found == set(ConnectionState)
