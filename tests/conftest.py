"""What every test leaves behind as it found it, and the order in which they run.

pytest-randomly shuffles modules, and the tests in each; its seed is in the head of the output.
"""

from __future__ import annotations

import compileall
import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import katana_asgi
from katana_asgi.observe.loggers import TWINS, ServerLogger
from katana_asgi.worker.loop import loop_factory
from tests.amounts import examples
from tests.patience import PATIENCE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--loop``."""
    parser.addoption(
        "--loop",
        default="",
        metavar="MODULE:FACTORY",
        help="Run what names no event loop on this one, in this process and in services.",
    )


class _OnLoop:
    """Every test of this process runs on one loop."""

    def __init__(self, reference: str) -> None:
        self._factories = {reference: loop_factory(reference)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_asyncio_loop_factories(
        self, config: pytest.Config, item: pytest.Item
    ) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        """In the place of those that a folder has chosen."""
        return self._factories


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tests get more time on slow machines; the package is compiled once, not by each server."""
    if config.option.timeout is None:
        config.option.timeout = float(config.getini("timeout")) * PATIENCE
    # The order of tests is random, not what they draw: a test that wants chance seeds its own, and
    # setting that of the process (and of numpy and others) anew costs three times a test.
    config.option.randomly_reset_seed = False
    if reference := config.getoption("--loop"):
        config.pluginmanager.register(_OnLoop(reference))
        os.environ["KATANA_LOOP"] = reference
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(katana_asgi.__file__).parent, quiet=2)


gc.disable()  # while thousands of tests are collected, which all stay


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests start early; the others stay as they were shuffled."""
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(FIRST)))


def pytest_collection_finish() -> None:
    """What was collected is never garbage: tests that count objects and collect pass over it."""
    gc.collect()
    gc.freeze()
    gc.enable()


class Unseen(logging.Handler):
    """Keeps what asyncio has to say of tasks and futures that nothing has looked at."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "was never retrieved" in message or "was destroyed but" in message:
            self.found.append(message)


@pytest.fixture(autouse=True, scope="module")
def nothing_leaks() -> Iterator[None]:
    """What a file leaked is found in its last test, and not by chance in a later file.

    Sockets that were left open, coroutines that were never awaited and errors in finalizers are
    errors of the test in which the collector comes past.
    """
    unseen = Unseen()
    logging.getLogger("asyncio").addHandler(unseen)
    yield
    gc.collect()
    logging.getLogger("asyncio").removeHandler(unseen)
    assert unseen.found == []


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
