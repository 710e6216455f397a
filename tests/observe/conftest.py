"""The loggers of the server as a test finds them, and as it leaves them."""

from __future__ import annotations

import logging

import pytest

from katana_asgi.observe.loggers import ServerLogger

NAMES = (
    "katana_asgi", "katana_asgi.error", "katana_asgi.access", "uvicorn", "uvicorn.error",
    "uvicorn.access",
)  # fmt: skip


@pytest.fixture(autouse=True)
def loggers():
    """The loggers of both servers without handlers; what was there before is put back."""
    every = [logging.getLogger(name) for name in NAMES]
    before = [
        (logger, logger.handlers[:], logger.filters[:], logger.level, logger.propagate)
        for logger in every
    ]
    for logger in every:
        logger.handlers[:] = []
        logger.filters[:] = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        logger.disabled = False
        if isinstance(logger, ServerLogger):
            logger.own = logger.twin = None
    yield
    for logger, handlers, filters, level, propagate in before:
        logger.handlers[:] = handlers
        logger.filters[:] = filters
        logger.setLevel(level)
        logger.propagate = propagate
        logger.disabled = False
        if isinstance(logger, ServerLogger):
            logger.own = logger.twin = None
