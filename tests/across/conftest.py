"""Everything in this folder runs twice, on two back ends and where it matters on two loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan import FIRST, LOOP_FACTORIES, back_ends, drop_second_loops

LOOP_MATTERS = (
    "bounded_memory",
    "contexts",
    "disconnect",
    "lifespan",
    "shutdown",
    "slow_clients",
    "websocket",
)
"""In the names of the modules whose tests run on both loops."""


def loop_matters(item: pytest.Item) -> bool:
    """Whether a test is about what loops do differently."""
    in_here = item.path.parent == Path(__file__).parent
    return in_here and any(word in item.path.name for word in LOOP_MATTERS)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    return LOOP_FACTORIES if loop_matters(item) else {FIRST: LOOP_FACTORIES[FIRST]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The back ends a test runs on: ``http``, to be passed to ``running(app, http=http)``."""
    back_ends(metafunc)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each back end of a test has one loop."""
    drop_second_loops(items, loop_matters)
