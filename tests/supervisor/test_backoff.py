"""When a dead worker is replaced, and when no more."""

from __future__ import annotations

from katana_asgi.supervisor.backoff import DELAYS, STABLE_AFTER, Backoff


def test_a_single_death_costs_no_wait() -> None:
    assert Backoff().died(ready_for=3.0) == 0.0


def test_the_wait_grows_with_each_early_death_until_it_is_a_crash_loop() -> None:
    backoff = Backoff()
    delays = [backoff.died(STABLE_AFTER / 2) for _ in range(6)]
    assert delays == [0.0, 0.1, 0.5, 2.0, None, None]


def test_failed_starts_count_like_early_deaths() -> None:
    backoff = Backoff()
    delays = [backoff.died(ready_for) for ready_for in (3.0, 0.0, 3.0, 0.0, 3.0)]
    assert delays == [*DELAYS, None]


def test_a_stable_worker_starts_the_count_again() -> None:
    backoff = Backoff()
    for _ in range(100):
        assert backoff.died(STABLE_AFTER) == 0.0
        assert [backoff.died(0.0) for _ in range(3)] == [0.1, 0.5, 2.0]


def test_an_orderly_retirement_clears_the_count() -> None:
    backoff = Backoff()
    for _ in DELAYS:
        backoff.died(0.0)
    backoff.retired()
    assert backoff.died(0.0) == 0.0
