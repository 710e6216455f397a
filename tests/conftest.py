"""What every test leaves behind as it found it, and the order in which they run."""

from __future__ import annotations

import compileall
import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import katana_asgi
from katana_asgi.observe.loggers import TWINS, ServerLogger
from tests.amounts import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGERS = (*TWINS, *TWINS.values(), "uvicorn")

FIRST = (
    "tests/benchmarks/test_instruction_budgets.py",
    "tests/wheel/test_native_wheel.py",
    "tests/fuzz/test_fuzz_targets.py",
    "tests/deployment/test_behind_haproxy.py",
    "tests/faults/test_ten_thousand.py",
)
"""Files whose tests take longest. At the end they would keep one core busy and the other idle."""

settings.register_profile(
    "amounts",
    max_examples=examples(100),
    deadline=None,  # a machine may be busy
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("amounts")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once, and not in each process that serves."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(katana_asgi.__file__).parent, quiet=2)


gc.disable()  # while thousands of tests are collected, which all stay


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests start early."""
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(FIRST)))


def pytest_collection_finish() -> None:
    """What was collected is never garbage: tests that count objects and collect pass over it."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """A server that a test configures must not decide what later tests see of the log."""
    found = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in found]
    twins = [(getattr(each, "twin", None), getattr(each, "own", None)) for each in found]
    yield
    for logger, (level, propagate, handlers), (twin, own) in zip(found, before, twins, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
        logger.disabled = False
        if isinstance(logger, ServerLogger):
            logger.twin, logger.own = twin, own
