"""Instructions for each request stay within what is stored: a regression check without noise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.instructions import BUDGETS, version
from tests.support import TIMEOUT

CASES = (
    "proxied",
    "plain",
    "varied",
    "api",
    "churn",
    "static",
    "static-proxied",
    "logged-combined",
    "http2",
)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.skipif(
    version() not in json.loads(BUDGETS.read_text()), reason="no budgets for this Python"
)
@pytest.mark.timeout(30 * TIMEOUT)  # callgrind takes five seconds for each case
def test_no_request_needs_more_instructions_than_its_budget() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.instructions", "--only", ",".join(CASES)],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=30 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("   ok") == len(CASES)
