"""How slow a body may be: silence and average, by the looks that a connection takes."""

from __future__ import annotations

import pytest

from katana_asgi.net.pace import GRACE, BodyPace


def looked(pieces, *, silence=30.0, rate=240, seconds=1.0) -> int | None:
    """The look at which a body is too slow that brings ``pieces``, one between any two looks."""
    pace = BodyPace(0)
    received = 0
    for number, piece in enumerate(pieces, 1):
        received += piece
        pace.add(received, seconds)
        if pace.too_slow(silence, rate):
            return number
    return None


def test_nothing_at_all_is_too_slow_once_the_grace_is_over():
    assert looked([0] * 60) == GRACE + 1


def test_a_byte_a_second_is_too_slow_once_the_grace_is_over():
    assert looked([1] * 60) == GRACE + 1


def test_the_rate_itself_is_fast_enough_for_ever():
    assert looked([240] * 10_000) is None


def test_a_little_below_the_rate_is_too_slow_at_last():
    assert looked([230] * 10_000) == pytest.approx(GRACE / (1 - 230 / 240), abs=3)


def test_what_came_fast_may_be_followed_by_silence_up_to_its_timeout():
    assert looked([100_000] + [0] * 29) is None
    assert looked([100_000] + [0] * 30) == 31


def test_one_byte_ends_a_silence():
    assert looked([100_000] + ([0] * 29 + [1]) * 10) is None


def test_without_a_rate_only_silence_counts():
    assert looked([1] * 10_000, rate=0) is None
    assert looked([0] * 10_000, rate=0) == 30


def test_without_a_silence_only_the_rate_counts():
    assert looked([10**9] + [0] * 10_000, silence=0) is None


def test_without_limits_nothing_is_too_slow():
    assert looked([0] * 10_000, silence=0, rate=0) is None


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.0])
def test_how_often_somebody_looks_does_not_matter(seconds):
    looks = looked([0] * 10_000, rate=0, seconds=seconds)
    assert looks is not None
    assert looks * seconds == pytest.approx(30.0, abs=seconds)
