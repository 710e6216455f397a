"""Every case of ``websocket_cases`` gets the same answer however its bytes are read."""

from __future__ import annotations

import pytest
from websocket_cases import CASES, NOT_UTF8, Case
from websocket_frames import CONTINUATION, PING, PONG, TEXT, Echo, cuts, masked, plain
from websocket_utf8 import EARLIEST

SHORT = 2048
"""Longer cases are read in pieces of these sizes instead of byte by byte."""
PIECES = (61, 997, 65_537)

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@every_case
def test_case_read_whole(case: Case) -> None:
    echo = Echo()
    assert echo.receive(b"".join(case.sent)) == case.answer
    assert echo.codec.ended is case.ended


@every_case
def test_case_read_frame_by_frame(case: Case) -> None:
    echo = Echo()
    assert echo.receive(*case.sent) == case.answer
    assert echo.codec.ended is case.ended


@every_case
def test_case_read_in_pieces(case: Case) -> None:
    sent = b"".join(case.sent)
    for size in (1, 2, 3, 7) if len(sent) < SHORT else PIECES:
        echo = Echo()
        assert echo.receive(*cuts(sent, size)) == case.answer
        assert echo.codec.ended is case.ended


@every_case
def test_case_with_trailing_data(case: Case) -> None:
    """A ping and the start of another frame behind it change nothing but add the pong."""
    echo = Echo()
    trailing = masked(PING, b"trailing") + b"\x81\x85\x00"
    answer = case.answer if case.ended else case.answer + plain(PONG, b"trailing")
    assert echo.receive(b"".join(case.sent) + trailing) == answer
    assert echo.codec.ended is case.ended


@pytest.mark.parametrize(("text", "known"), EARLIEST)
def test_bad_text_fails_with_the_byte_that_makes_it_bad(text: bytes, known: int) -> None:
    """Autobahn 6.4: in the middle of a frame (chops) and of a message (fragments)."""
    frame = masked(TEXT, text + b"more to come")
    head = 6
    chopped = Echo()
    assert chopped.receive(*cuts(frame[: head + known - 1], 1)) == b""
    assert chopped.receive(frame[head + known - 1 : head + known]) == NOT_UTF8

    fragmented = Echo()
    assert fragmented.receive(masked(TEXT, text[: known - 1], fin=False)) == b""
    assert fragmented.receive(masked(CONTINUATION, text[known - 1 : known], fin=False)) == NOT_UTF8


@pytest.mark.parametrize("breach", [plain(TEXT, b"not masked"), masked(TEXT, b"\xff")])
def test_nothing_is_answered_after_the_end(breach: bytes) -> None:
    echo = Echo()
    assert echo.receive(breach) != b""
    assert echo.receive(masked(TEXT, b"late"), masked(PING)) == b""
