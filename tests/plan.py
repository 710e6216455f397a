"""On which back ends and event loops a test runs: a fixed plan, the same in every run.

A test with ``http`` runs twice: on the native codec, and on another back end, h11 or httptools by
the name of the test. Where the loop makes a difference the first run is on uvloop and the second
on asyncio's own; everything else is on uvloop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zlib import crc32

import pytest

from katana_asgi import codec

__all__ = ["FIRST", "LOOP_FACTORIES", "back_ends", "drop_second_loops"]

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    FIRST = "asyncio"
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop
    FIRST = "uvloop"

NATIVE = pytest.param(
    "native",
    marks=pytest.mark.skipif(not codec.NATIVE, reason="the native codec was not built here"),
)


def back_ends(metafunc: pytest.Metafunc) -> None:
    """Have a test run on its back ends, where it asks for ``http``."""
    if "http" in metafunc.fixturenames:
        name = metafunc.function.__name__
        other = ("h11", "httptools")[crc32(name.encode()) % 2]
        metafunc.parametrize("http", [NATIVE, other])


def drop_second_loops(items: list[pytest.Item], has_both: Callable[[pytest.Item], bool]) -> None:
    """Of the tests that have both loops, leave each back end one of them."""
    items[:] = [item for item in items if not (has_both(item) and _is_too_many(item))]


def _is_too_many(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    params = {} if spec is None else spec.params
    factory, http = params.get("_asyncio_loop_factory"), params.get("http")
    if factory is None or http is None or len(LOOP_FACTORIES) == 1:
        return False
    return (factory is LOOP_FACTORIES[FIRST]) is not (http == "native")
