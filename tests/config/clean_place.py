"""A directory without files and an environment without settings, put back afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory of the test; no variable of the outside is a setting."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    for name in before:
        if name.startswith("KATANA_") or name in ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "PORT"):
            del os.environ[name]
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)
