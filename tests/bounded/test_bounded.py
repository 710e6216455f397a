"""The bounded dictionary: its weight, what stays, what goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.bounded import Bounded

OPERATION = st.tuples(
    st.sampled_from(["put", "get", "pop"]), st.integers(0, 40), st.integers(0, 20)
)


@given(st.lists(OPERATION, max_size=300))
def test_the_weight_is_that_of_what_is_kept_and_never_too_much(
    operations: list[tuple[str, int, int]],
) -> None:
    bounded: Bounded[int, int] = Bounded(100)
    weights: dict[int, int] = {}
    for name, key, weight in operations:
        if name == "put":
            kept = bounded.put(key, weight, weight)
            assert kept is (bounded.peek(key) is not None)
            weights[key] = weight
        elif name == "get":
            value = bounded.get(key)
            assert value is None or value == weights[key]
        else:
            bounded.pop(key)
            assert bounded.get(key) is None
        assert bounded.weight == sum(weights[each] for each in bounded) <= 100
        assert len(bounded) == len(list(bounded))


def test_what_is_asked_for_again_survives_a_scan() -> None:
    bounded: Bounded[int, str] = Bounded(1000)
    hot = range(40)
    for key in hot:
        bounded.put(key, "hot", 10)
        bounded.get(key)
    for key in range(1000, 21_000):
        bounded.put(key, "once", 10)
        if key % 100 == 0:
            for each in hot:
                bounded.get(each)
    assert all(bounded.get(key) == "hot" for key in hot)


def test_a_key_that_comes_back_soon_goes_where_it_stays() -> None:
    bounded: Bounded[int, str] = Bounded(1000)
    for key in range(200):
        bounded.put(key, "once", 10)
    assert bounded.peek(0) is None
    bounded.put(0, "again", 10)
    for key in range(1000, 1050):
        bounded.put(key, "once", 10)
    assert bounded.peek(0) == "again"


def test_what_is_too_heavy_is_not_kept_and_replaces_what_was_there() -> None:
    bounded: Bounded[str, str] = Bounded(800)
    assert bounded.put("a", "light", 100)
    assert not bounded.put("a", "heavy", 101)
    assert bounded.get("a") is None
    assert bounded.weight == 0


def test_nothing_is_left_after_clear() -> None:
    bounded: Bounded[int, int] = Bounded(100)
    for key in range(20):
        bounded.put(key, key, 10)
    bounded.clear()
    assert (len(bounded), bounded.weight, list(bounded)) == (0, 0, [])
    assert bounded.put(1, 1, 10)
