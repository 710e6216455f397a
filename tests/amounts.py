"""How much the tests try: a part of it in ``make test``, all of it in ``make test-all``.

What is tested is the same. With ``TEST_AMOUNTS=full`` in the environment there are more examples
of it, more repetitions, and whole products where there is a plan otherwise. With ``few`` there
are fewer examples, for runs that repeat the tests or slow them down (``make mutants``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from typing import Any

__all__ = ["FULL", "examples", "planned", "repetitions"]

FULL = os.environ.get("TEST_AMOUNTS") == "full"
FEW = os.environ.get("TEST_AMOUNTS") == "few"


def examples(number: int) -> int:
    """How many examples Hypothesis makes where all were ``number``: a quarter of them."""
    return number if FULL else max(1, number // (20 if FEW else 4))


def repetitions(number: int, otherwise: int) -> int:
    """``number`` where everything is to be tried, and ``otherwise`` a smaller one."""
    return number if FULL else otherwise


def planned(each: Sequence[Any], *pair: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Each case with two of the four combinations of a pair of choices.

    The two differ in both choices, and turn from case to case: each case meets each choice, and
    each combination meets every second case. Where everything is to be tried, all of them.
    """
    if FULL:
        return list(product(each, *pair))
    (a, b), (c, d) = pair
    turns = [((a, c), (b, d)), ((a, d), (b, c))]
    return [(case, *choices) for number, case in enumerate(each) for choices in turns[number % 2]]
