"""States times events of the supervisor's slots, without a process: whatever happens when.

Hypothesis writes a script of what workers, operators and the system do, and looks for one that
breaks a promise of ``world.py``.
"""

from __future__ import annotations

import logging
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.amounts import examples
from tests.supervisor.world import World

WHICH = st.integers(0, 3)

EVENTS = st.one_of(
    st.tuples(st.just("ready"), WHICH),
    st.just(("calm",)),
    st.tuples(st.just("tick"), st.sampled_from([0.05, 1.0, 4.0, 11.0, 31.0])),
    st.tuples(st.just("crashes"), WHICH, st.sampled_from([0, 1, -signal.SIGSEGV])),
    st.tuples(st.just("fails"), WHICH, st.booleans()),
    st.tuples(st.just("retires"), WHICH),
    st.tuples(st.just("obeys"), WHICH),
    st.tuples(st.just("hangs"), WHICH),
    st.tuples(st.just("hangs_up"), WHICH),
    st.tuples(st.just("stopped"), st.integers(1, 12), st.sampled_from([5.0, 60.0])),
    st.tuples(st.just("forks_fail"), st.integers(1, 3)),
    st.tuples(st.just("reload"), st.sampled_from(["same", "broken"])),
    st.tuples(st.just("reload"), st.just("resized"), st.integers(1, 4)),
    st.tuples(st.just("told"), st.sampled_from([signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2])),
    st.just(("successor_ends",)),
)

STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


@pytest.fixture(autouse=True)
def quiet():
    logger = logging.getLogger("katana_asgi.error")
    logger.setLevel(logging.INFO)
    logger.propagate = False


@settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    script=st.lists(EVENTS, max_size=25),
    workers=st.integers(1, 3),
    first=st.booleans(),
    admin=st.booleans(),
    obedient=st.booleans(),
    stops=st.lists(st.sampled_from(STOPS), max_size=2),
)
def test_whatever_happens_no_slot_is_lost_and_a_stop_ends(
    script, workers, first, admin, obedient, stops
):
    begin = [("calm",), ("tick", 1.0)] if first else []
    end = [step for number in stops for step in [("told", number), ("tick", 1.0)]]
    world = World(
        [*begin, *script, *end],
        obedient=obedient,
        workers=workers,
        admin_bind="127.0.0.1:0" if admin else "",
    )
    world.run()


def test_a_supervisor_that_was_stopped_anywhere_in_a_turn_holds_nothing_against_its_workers():
    """Stopped at each reading of its clock: one that starts, one that serves, one that drains."""
    for readings in range(1, 30):
        begin = [("ready", 0), ("reload", "same"), ("tick", 0.05), ("ready", 0), ("tick", 0.05)]
        world = World([*begin, ("stopped", readings, 70.0), ("tick", 6.0)], workers=3)
        world.run()
        assert any(line.startswith("The supervisor did not run") for line in world.log)
        assert not [line for line in world.log if "Killing" in line or "blocked" in line]


def test_an_admin_process_that_was_not_told_to_stop_is_not_killed_for_it():
    script = [("calm",), ("tick", 1.0), ("hangs", 0), ("told", signal.SIGTERM), ("tick", 16.0)]
    world = World([*script, ("obeys", 0)], admin_bind="127.0.0.1:0", workers=1)
    assert world.run() == 0
    assert len([line for line in world.log if line.startswith("Killing")]) == 1


def test_a_supervisor_that_stops_a_blocked_worker_waits_and_does_not_turn_in_vain():
    script = [("calm",), ("tick", 1.0), ("hangs", 0), ("told", signal.SIGTERM), ("tick", 16.0)]
    world = World(script, workers=2)
    assert world.run() == 0


def test_a_new_supervisor_that_does_not_stop_with_the_old_one_is_killed():
    script = [("calm",), ("tick", 1.0), ("told", signal.SIGUSR2), ("tick", 0.05), ("hangs", 1)]
    world = World([*script, ("told", signal.SIGTERM), ("tick", 20.0)], workers=1)
    assert world.run() == 0
    assert [line for line in world.log if line.startswith("Killing the new supervisor")]


def test_a_service_that_gives_up_does_not_leave_a_new_supervisor_behind():
    script = [("told", signal.SIGUSR2), ("tick", 0.05), ("crashes", 0, 1), ("tick", 1.0)]
    world = World(script, workers=1)
    assert world.run() == 1


def test_a_dead_worker_of_a_slot_that_was_taken_away_is_not_signalled():
    begin = [("ready", 0), ("ready", 0), ("tick", 0.05), ("told", signal.SIGTTOU), ("tick", 0.05)]
    world = World([*begin, ("crashes", 1, 1), ("tick", 0.05)], workers=2)
    assert world.run() == 0
