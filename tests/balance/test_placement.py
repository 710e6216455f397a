"""Who gets a connection, as arithmetic: no process, no clock, chance from a fixed seed."""

from __future__ import annotations

import random

import pytest
from clients import is_even

from katana_asgi.balance.placement import MOVED_AT_ONCE, UNAVAILABLE, choose, surplus


@pytest.mark.parametrize(
    ("mine", "others", "chosen"),
    [
        (0, [0, 0], -1),
        (1, [0], -1),
        (2, [0], 0),
        (2, [1], -1),
        (5, [4, 3, 2], 2),
        (5, [2, 2, 3], 0),  # of several that are as empty the first
        (100, [90], -1),  # within an eighth
        (100, [88], 0),
        (100, [UNAVAILABLE, 99], -1),
        (9, [], -1),
        (9, [UNAVAILABLE], -1),
        (9, [UNAVAILABLE, 8, 3], 2),
    ],
)
def test_a_connection_goes_to_the_emptiest_where_that_is_clearly_emptier(
    mine: int, others: list[int], chosen: int
) -> None:
    assert choose(mine, others) == chosen


def placed(connections: int, workers: int, chance: random.Random, *, balanced: bool) -> list[int]:
    """Connections of each worker where the kernel picks by chance who accepts."""
    loads = [0] * workers
    for _ in range(connections):
        who = chance.randrange(workers)
        others = [each for each in range(workers) if each != who]
        chosen = choose(loads[who], [loads[each] for each in others]) if balanced else -1
        loads[who if chosen < 0 else others[chosen]] += 1
    return sorted(loads)


@pytest.mark.parametrize(("connections", "workers"), [(16, 4), (64, 4), (64, 2), (1000, 8)])
def test_what_the_kernel_places_by_chance_becomes_even(connections: int, workers: int) -> None:
    chance = random.Random(17)
    for _ in range(200):
        assert is_even(placed(connections, workers, chance, balanced=True))


def longest_queue(connections: int, workers: int, *, balanced: bool) -> float:
    """The mean over many draws of the fullest worker's connections.

    Where each connection always has a request that takes 20 ms of processor time, the slowest
    answers come from the fullest worker, one turn of all of its connections apart.
    """
    chance = random.Random(4)
    draws = [placed(connections, workers, chance, balanced=balanced)[-1] for _ in range(1000)]
    return sum(draws) / len(draws)


def test_sixteen_busy_connections_wait_less_on_four_balanced_workers() -> None:
    by_chance = longest_queue(16, 4, balanced=False)
    even = longest_queue(16, 4, balanced=True)
    assert by_chance > 6
    assert even < 5
    assert by_chance / even > 1.2


@pytest.mark.parametrize(
    ("mine", "others", "moved"),
    [
        (4, [2], 0),
        (5, [2], 1),
        (100, [80], 0),  # newcomers will even that out
        (100, [70], MOVED_AT_ONCE),
        (8, [0, 9], 0),  # the fuller one goes first
        (8, [UNAVAILABLE], 0),
        (8, [0, UNAVAILABLE], 4),
    ],
)
def test_idle_connections_move_only_over_a_wide_gap(
    mine: int, others: list[int], moved: int
) -> None:
    assert surplus(mine, others) == moved


@pytest.mark.parametrize("loads", [[100, 0], [40, 0, 0, 0], [9, 3], [7, 7, 7, 0], [1000, 10, 10]])
def test_moving_comes_to_an_end_and_moves_no_more_than_it_must(loads: list[int]) -> None:
    mean = sum(loads) // len(loads)
    excess = sum(max(0, load - mean) for load in loads)
    moved = 0
    while True:
        assert moved <= excess
        for who, mine in enumerate(loads.copy()):
            others = [each for each in range(len(loads)) if each != who]
            count = surplus(mine, [loads[each] for each in others])
            if count:
                to = min(others, key=lambda each: loads[each])
                loads[who] -= count
                loads[to] += count
                moved += count
                break
        else:
            break
    assert max(loads) - min(loads) <= max(2, max(loads) // 4)
