"""Services with several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clients import MAIN, OPENED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def clients_leave() -> Iterator[None]:
    """Close what a test has left open."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an application that tells which worker it is."""
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path
