"""What Python only mentions fails a test here: leaks, and exceptions that reach no caller."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import LEAKED, ROOT, TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

LEAKING = """
import socket

class Failing:
    def __del__(self):
        raise ValueError

async def never_awaited():
    pass

def test_a_socket():
    kept = [socket.socket()]
    kept.append(kept)  # only the collector finds it

def test_a_coroutine():
    never_awaited()

def test_a_finalizer():
    Failing()
"""


def test_in_the_process_of_the_tests(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    (tmp_path / "conftest.py").write_text("from tests.conftest import nothing_leaks")
    options = ("-p", "no:cacheprovider", "-c", "pyproject.toml")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
    )
    assert "unclosed <socket.socket" in ended.stdout
    assert "2 failed, 1 passed, 1 error" in ended.stdout  # the last test has the socket


@pytest.mark.parametrize(
    "line",
    [
        "kept = socket.socket(); del kept",
        "asyncio.sleep(1)",
        "Failing()",
    ],
)
def test_in_a_process_that_a_test_starts(line: str) -> None:
    source = f"import asyncio, socket\n{LEAKING}\n{line}"
    with pytest.raises(AssertionError, match=LEAKED):
        with ServerProcess(command=(sys.executable, "-c", source), port=False) as process:
            process.finish()
