"""One timer for the time of day and all deadlines, on a loop whose time the test holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from katana_asgi.net.clock import EVERY_TICK, NEVER, Clock
from katana_asgi.testing import FakeTimeLoop

NOON = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT


def turn(loop: FakeTimeLoop, seconds: float) -> None:
    """Let time pass, and call what falls due on the way."""
    loop.run_until_complete(loop.advance(seconds))


def clock_on(loop: FakeTimeLoop, **timeouts: float) -> Clock:
    """A clock that knows no other time than the loop's."""
    return Clock(loop, time_of_day=loop.time_of_day, **timeouts)


class Deadline:
    """Something watched; notes when its deadline passed."""

    def __init__(self, loop: FakeTimeLoop, deadline: float) -> None:
        self._loop = loop
        self.deadline = deadline
        self.passed: list[float] = []

    def deadline_passed(self) -> None:
        self.passed.append(self._loop.time())
        self.deadline = NEVER


@pytest.fixture
def loop() -> Iterator[FakeTimeLoop]:
    loop = FakeTimeLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize("timeout", [0.1, 1.0, 5.0, 75.0])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.99])
def test_a_deadline_never_passes_early_and_at_most_two_ticks_late(loop, timeout, offset):
    clock = clock_on(loop, idle_timeout=timeout, shortest_timeout=10.0)
    clock.start()
    turn(loop, 10 + offset)
    watched = Deadline(loop, clock.after(timeout))
    clock.watched.add(watched)
    set_at = loop.time()
    turn(loop, timeout + 5)
    assert len(watched.passed) == 1
    late = watched.passed[0] - set_at - timeout
    tick = min(1.0, timeout / 5)
    assert -1e-6 <= late <= 2 * tick + 0.01


def test_the_idle_deadline_is_that_of_its_timeout(loop):
    clock = clock_on(loop, idle_timeout=30.0)
    clock.start()
    turn(loop, 7.5)
    assert clock.idle_deadline == clock.after(30.0)


def test_a_deadline_that_moves_on_does_not_pass(loop):
    clock = clock_on(loop)
    clock.start()
    watched = Deadline(loop, clock.after(5))
    clock.watched.add(watched)
    for _ in range(10):
        turn(loop, 3)
        watched.deadline = clock.after(5)
    assert watched.passed == []


def test_what_is_no_longer_watched_does_not_pass(loop):
    clock = clock_on(loop)
    clock.start()
    leaving = Deadline(loop, clock.after(5))
    clock.watched.add(leaving)
    clock.watched.discard(leaving)
    turn(loop, 20)
    assert leaving.passed == []


def test_a_watched_thing_may_leave_while_others_are_called(loop):
    clock = clock_on(loop)
    clock.start()

    class Leaving(Deadline):
        def deadline_passed(self) -> None:
            super().deadline_passed()
            clock.watched.discard(self)

    all_of_them = [Leaving(loop, clock.after(5)) for _ in range(3)]
    clock.watched.update(all_of_them)
    turn(loop, 10)
    assert [len(each.passed) for each in all_of_them] == [1, 1, 1]


def test_each_second_is_told_once_as_it_begins(loop):
    clock = clock_on(loop)
    seconds = []
    clock.every_second.append(seconds.append)
    clock.start()
    assert seconds == [NOON]
    turn(loop, 0.5)
    for second in range(1, 10):
        turn(loop, 1)
        assert seconds == [NOON + each for each in range(second + 1)]
    clock.stop()
    turn(loop, 5)
    assert len(seconds) == 10


def test_calls_come_with_every_tick_until_the_clock_stops(loop):
    clock = clock_on(loop)
    calls = []
    clock.every_tick.append(lambda: calls.append(loop.time()))
    clock.start()
    turn(loop, 10)
    assert 10 <= len(calls) <= 12
    clock.stop()
    turn(loop, 10)
    assert len(calls) <= 12
    clock.stop()


def test_a_tick_that_comes_late_says_how_late(loop):
    clock = clock_on(loop)
    clock.start()
    turn(loop, 3)
    assert clock.lag < 0.001
    loop.block(4.5)  # something kept the loop busy
    turn(loop, 0)
    assert 3.4 <= clock.lag <= 4.6
    turn(loop, 2)
    assert clock.lag < 0.001


def test_after_a_late_tick_the_loop_reads_before_deadlines_pass(loop):
    clock = clock_on(loop)
    clock.start()
    turn(loop, 3)
    watched = Deadline(loop, clock.after(1))
    clock.watched.add(watched)
    loop.block(30)  # something kept the loop busy
    late = loop.time()
    turn(loop, 0)
    assert watched.passed == []  # what it has sent meanwhile can still be read
    turn(loop, 1)
    assert late < watched.passed[0] <= late + 0.1


def test_a_deadline_that_moves_on_after_a_late_tick_does_not_pass(loop):
    clock = clock_on(loop)
    clock.start()
    watched = Deadline(loop, clock.after(1))
    clock.watched.add(watched)
    loop.block(30)
    turn(loop, 0)
    watched.deadline = clock.after(5)  # it had sent something
    turn(loop, 3)
    assert watched.passed == []


def test_time_in_which_the_loop_was_busy_is_nobodys(loop):
    clock = clock_on(loop)
    clock.start()
    turn(loop, 3)
    loop.block(30)
    turn(loop, 0)
    assert clock.elapsed <= 1.0


class Checked:
    """Something that has stalled; counts the checks."""

    def __init__(self) -> None:
        self.checks = 0

    def check_writing(self) -> None:
        self.checks += 1


def test_what_has_stalled_is_checked_with_every_tick(loop):
    clock = clock_on(loop)
    clock.start()
    stalled = Checked()
    clock.stalled.add(stalled)
    turn(loop, 10)
    assert 10 <= stalled.checks <= 12
    clock.stalled.discard(stalled)
    turn(loop, 10)
    assert stalled.checks <= 12


def test_a_deadline_of_every_tick_passes_with_every_tick(loop):
    clock = clock_on(loop)
    clock.start()
    looks = []

    class Everywhere(Deadline):
        def deadline_passed(self) -> None:
            looks.append(loop.time())

    clock.watched.add(Everywhere(loop, EVERY_TICK))
    turn(loop, 10)
    assert 10 <= len(looks) <= 12


def test_a_stopped_clock_calls_nobody_late(loop):
    clock = clock_on(loop)
    clock.start()
    watched = Deadline(loop, clock.after(1))
    clock.watched.add(watched)
    loop.block(30)
    turn(loop, 0)
    clock.stop()
    turn(loop, 10)
    assert watched.passed == []


async def test_of_many_deadlines_at_once_others_do_not_wait_for_all():
    loop = asyncio.get_running_loop()
    clock = Clock(loop, idle_timeout=0.1)
    ended = []

    class Ending(Deadline):
        def deadline_passed(self) -> None:
            ended.append(self)
            clock.watched.discard(self)

    clock.watched.update(Ending(loop, 0.1) for _ in range(1000))
    seen = [0]
    clock.start()
    seen.append(len(ended))
    while clock.watched:
        await asyncio.sleep(0)  # somebody else's turn
        seen.append(len(ended))
    clock.stop()
    assert len(ended) == len(set(ended)) == 1000
    assert max(after - before for before, after in pairwise(seen)) <= 50


async def test_who_moves_on_or_leaves_before_its_turn_comes_is_not_called():
    loop = asyncio.get_running_loop()
    clock = Clock(loop, idle_timeout=0.1)
    ended = []

    class Ending(Deadline):
        def deadline_passed(self) -> None:
            ended.append(self)
            clock.watched.discard(self)
            for number, other in enumerate(list(clock.watched)):
                if number % 2:
                    other.deadline = NEVER
                else:
                    clock.watched.discard(other)

    clock.watched.update(Ending(loop, 0.1) for _ in range(200))
    clock.start()
    while not ended:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    clock.stop()
    assert len(ended) == 1
