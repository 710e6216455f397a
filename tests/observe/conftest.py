"""The loggers of the server as a test finds them, and as it leaves them."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def loggers():
    """Both loggers without handlers; what was there before is put back."""
    both = [logging.getLogger(f"katana_asgi.{name}") for name in ("error", "access")]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in both]
    for logger in both:
        logger.handlers[:] = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
