"""What every test leaves behind as it found it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from katana_asgi.observe.loggers import TWINS, ServerLogger

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGERS = (*TWINS, *TWINS.values(), "uvicorn")


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
