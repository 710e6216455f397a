"""Faults in this process run on both parser back ends and both event loops."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest

from tests.across.conftest import http, pytest_asyncio_loop_factories

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["http", "no_collector", "pytest_asyncio_loop_factories"]


@pytest.fixture
def no_collector(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What goes has to go by reference counting alone."""
    caplog.set_level(logging.CRITICAL, "katana_asgi.error")  # records keep what they tell of
    gc.collect()
    gc.disable()
    yield
    gc.enable()
