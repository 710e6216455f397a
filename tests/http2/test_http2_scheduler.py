"""Who sends next: RFC 9218, and fair where the client does not know it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katana_asgi.http2.scheduler import (
    IN_TURN,
    MAX_EARLY,
    Priorities,
    Priority,
    Scheduler,
    parse_priority,
)


@dataclass
class Stream:
    id: int
    priority: Priority
    scheduled: bool = False


def streams(*priorities: Priority) -> list[Stream]:
    return [Stream(number, each) for number, each in enumerate(priorities)]


def served(scheduler: Scheduler, count: int) -> list[int]:
    return [stream.id for _ in range(count) if (stream := scheduler.next()) is not None]


def with_all(found: list[Stream]) -> Scheduler:
    scheduler = Scheduler()
    for stream in found:
        scheduler.add(stream)
    return scheduler


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i,u=5", (5, True)),
        (b"i=?1", (3, True)),
        (b"i=?0", (3, False)),
        (b"i, i=?0", (3, False)),
        (b"u=1,u=2", (2, False)),
        (b" u=1 , i ", (1, True)),
        (b"u=1;x=2, i;y", (1, True)),
        (b"u=8", (3, False)),
        (b"u=-1", (3, False)),
        (b"u=12", (3, False)),
        (b"u", (3, False)),
        (b"i=1", (3, False)),
        (b"U=1, I", (3, False)),
        (b"x=1, u=2", (2, False)),
        (b"\xff,,=,;", (3, False)),
    ],
)
def test_a_priority_field(value, expected):
    assert parse_priority(value) == expected


def test_the_more_urgent_goes_first_and_the_rest_in_order_of_its_numbers():
    found = streams(Priority(3), Priority(7), Priority(3), Priority(0))
    scheduler = with_all(found[::-1])
    order = []
    while (stream := scheduler.next()) is not None:
        order.append(stream.id)
        scheduler.remove(stream)
    assert order == [3, 0, 2, 1]
    assert not scheduler


def test_incremental_streams_are_served_in_turn():
    scheduler = with_all(streams(IN_TURN, IN_TURN, IN_TURN))
    assert served(scheduler, 7) == [0, 1, 2, 0, 1, 2, 0]


def test_of_both_kinds_each_has_half():
    scheduler = with_all(streams(Priority(), Priority(), IN_TURN, IN_TURN))
    assert Counter(served(scheduler, 12)) == {0: 6, 2: 3, 3: 3}


def test_what_is_more_urgent_overtakes_at_once():
    low = Stream(1, Priority(7))
    scheduler = with_all([low])
    assert served(scheduler, 2) == [1, 1]
    scheduler.add(Stream(3, Priority(0)))
    assert served(scheduler, 2) == [3, 3]


def test_a_change_of_priority_takes_effect():
    found = streams(Priority(3), Priority(4))
    scheduler = with_all(found)
    scheduler.change(found[1], Priority(0))
    assert served(scheduler, 1) == [1]
    unscheduled = Stream(9, Priority(3))
    scheduler.change(unscheduled, Priority(0))
    assert unscheduled.priority == Priority(0)
    assert served(scheduler, 1) == [1]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("arcn"), st.integers(0, 5), st.integers(0, 7), st.booleans()),
        max_size=60,
    )
)
def test_the_scheduler_never_loses_a_stream_and_never_keeps_one(steps):
    found = [Stream(number, Priority()) for number in range(6)]
    scheduler = Scheduler()
    inside: set[int] = set()
    for step, number, urgency, incremental in steps:
        stream = found[number]
        if step == "a":
            scheduler.add(stream)
            inside.add(number)
        elif step == "r":
            scheduler.remove(stream)
            inside.discard(number)
        elif step == "c":
            scheduler.change(stream, Priority(urgency, incremental))
        else:
            chosen = scheduler.next()
            best = min((found[each].priority.urgency for each in inside), default=None)
            assert (chosen.priority.urgency if chosen else None) == best
        assert bool(scheduler) is bool(inside)
        assert {each.id for each in found if each.scheduled} == inside


def test_a_client_that_shows_no_knowledge_is_served_in_turn():
    priorities = Priorities()
    assert priorities.of(1, None, False) == IN_TURN
    assert priorities.of(3, b"u=1", False) == Priority(1)
    assert priorities.of(5, None, False) == Priority()


def test_a_proxy_is_served_in_turn_whatever_it_knows():
    priorities = Priorities()
    assert priorities.of(1, b"u=1", True) == Priority(1, True)
    assert priorities.of(3, None, True) == IN_TURN


def test_an_update_that_came_early_is_used_once_and_only_some_are_kept():
    priorities = Priorities()
    priorities.keep(1, Priority(0))
    priorities.keep(1, Priority(2, True))
    assert priorities.of(1, b"u=5", False) == Priority(2, True)
    assert priorities.of(1, None, False) == Priority()
    for number in range(1, 2 * MAX_EARLY + 200, 2):
        priorities.keep(number, Priority(0))
    kept = [each for each in range(1, 400, 2) if priorities.of(each, None, False) == Priority(0)]
    assert len(kept) == MAX_EARLY
