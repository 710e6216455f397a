"""Everything in this folder runs twice, by a fixed plan: on two back ends, and two event loops.

The first run is on the native codec and uvloop. The second is on another back end: h11 or
httptools, by the name of the test; where the loop makes a difference it is on asyncio's loop.
"""

from __future__ import annotations

import asyncio
from zlib import crc32

import pytest

from katana_asgi import codec

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    FIRST = "asyncio"
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop
    FIRST = "uvloop"

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

NATIVE = pytest.param(
    "native",
    marks=pytest.mark.skipif(not codec.NATIVE, reason="the native codec was not built here"),
)


def loop_matters(item: pytest.Item) -> bool:
    """Whether a test is about what loops do differently."""
    return any(word in item.path.name for word in LOOP_MATTERS)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    return LOOP_FACTORIES if loop_matters(item) else {FIRST: LOOP_FACTORIES[FIRST]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The back ends a test runs on: ``http``, to be passed to ``running(app, http=http)``."""
    if "http" in metafunc.fixturenames:
        name = metafunc.function.__name__
        other = ("h11", "httptools")[crc32(name.encode()) % 2]
        metafunc.parametrize("http", [NATIVE, other])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each back end of a test has one loop: the first has the first."""
    items[:] = [item for item in items if not is_too_many(item)]


def is_too_many(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and _has_spec(item) else {}
    factory, http = params.get("_asyncio_loop_factory"), params.get("http")
    if http is None or factory is None or "across" not in item.path.parts:
        return False
    if len(LOOP_FACTORIES) == 1 or not loop_matters(item):
        return False
    return (factory is LOOP_FACTORIES[FIRST]) is not (http == "native")


def _has_spec(item: pytest.Function) -> bool:
    return hasattr(item, "callspec")
