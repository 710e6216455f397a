"""How long a test waits for what must come: one number, and one factor for slow machines.

``TEST_PATIENCE=5`` in the environment multiplies every timeout of the suite, also the time that
pytest-timeout gives a test. Times that are what a test is about, as those of settings, stay.
"""

from __future__ import annotations

import os

__all__ = ["PATIENCE", "TIMEOUT"]

PATIENCE = float(os.environ.get("TEST_PATIENCE") or 1)

TIMEOUT = 10.0 * PATIENCE
"""Seconds anything in a test may take before it counts as hanging; programs get a multiple."""
