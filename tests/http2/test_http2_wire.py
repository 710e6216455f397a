"""Whatever a client sends has one answer, however its bytes are cut."""

from __future__ import annotations

import pytest

from katana_asgi.http2.frames import FRAME_HEADER
from tests.http2.peer import Peer
from tests.http2.wire_cases import CASES, OPENING_CASES, Case


def ids(cases: list[Case]) -> list[str]:
    return [each.name for each in cases]


def in_frames(data: bytes) -> list[bytes]:
    """The frames of a client."""
    found = []
    begin = 0
    while begin < len(data):
        high, low, *_ = FRAME_HEADER.unpack_from(data, begin)
        end = begin + 9 + (high << 8 | low)
        found.append(data[begin:end])
        begin = end
    return found


def check(peer: Peer, case: Case, pieces: list[bytes]) -> None:
    peer.send(*pieces)
    assert " ".join(peer.outcome()) == case.answer
    failed = "*" in case.answer
    assert (peer.transport.ended or peer.transport.closing) is failed
    peer.transport.close()
    peer.loop.turn()
    assert peer.context.closed == [peer.connection]
    assert not peer.connection.streams
    assert not peer.context.clock.watched
    assert not peer.context.clock.stalled
    assert peer.connection.sender.queued == 0


def test_there_are_many_cases_and_each_has_a_name_of_its_own():
    names = ids(CASES) + ids(OPENING_CASES)
    assert len(names) >= 300
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_answer_is_the_same_whole_by_frames_and_byte_by_byte(case):
    check(Peer(), case, [case.sent])
    check(Peer(), case, in_frames(case.sent))
    size = 1 if len(case.sent) < 3000 else 97
    cut = [case.sent[begin : begin + size] for begin in range(0, len(case.sent), size)]
    check(Peer(), case, cut)


@pytest.mark.parametrize("case", OPENING_CASES, ids=ids(OPENING_CASES))
def test_an_opening_is_the_same_whole_and_byte_by_byte(case):
    check(Peer(handshake=False), case, [case.sent])
    check(Peer(handshake=False), case, [bytes((byte,)) for byte in case.sent])


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_what_follows_a_connection_error_is_ignored(case):
    peer = Peer()
    peer.send(case.sent + case.sent)
    answers = peer.outcome()
    errors = [each for each in answers if each.startswith("*")]
    assert len(errors) <= 1
    if errors:
        assert answers[-1] == errors[0]
