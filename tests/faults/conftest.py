"""Faults in this process run on two back ends and both event loops."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plan import LOOP_FACTORIES, back_ends, drop_second_loops

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    return LOOP_FACTORIES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The back ends a test runs on."""
    back_ends(metafunc)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each back end of a test has one loop."""
    here = Path(__file__).parent
    drop_second_loops(items, lambda item: item.path.parent == here)


@pytest.fixture
def no_collector(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What goes has to go by reference counting alone."""
    caplog.set_level(logging.CRITICAL, "katana_asgi.error")  # records keep what they tell of
    gc.collect()
    gc.disable()
    yield
    gc.enable()
