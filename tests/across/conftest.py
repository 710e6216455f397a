"""Everything in this folder runs on both parser back ends and both event loops."""

from __future__ import annotations

import asyncio

import pytest

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    return LOOP_FACTORIES


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    """The parser back end a test runs on; to be passed to ``running(app, http=http)``."""
    return request.param
