"""Services with several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clients import MAIN

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an application that tells which worker it is."""
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path
