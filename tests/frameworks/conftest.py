"""Everything in this folder runs on two back ends, on the loop that services run on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from katana_asgi.worker.loop import loop_factory
from tests.plan import back_ends

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loop a test runs on."""
    return {"auto": loop_factory("auto")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The back ends a test runs on."""
    back_ends(metafunc)


@pytest.fixture(autouse=True)
def errors(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What the server has to log as errors in a test, by the type raised: nothing, unless told."""
    expected: list[str] = []
    yield expected
    logged = [
        record.exc_info[0].__name__ if record.exc_info else record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "katana_asgi.error" and record.levelno >= logging.ERROR
    ]
    assert logged == expected
