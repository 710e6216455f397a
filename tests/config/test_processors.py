"""How many workers "auto" is: what cpusets and quotas of cgroups leave, in both versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from katana_asgi.config.model import Config
from katana_asgi.config.processors import (
    allowed_processors,
    processor_quota,
    usable_processors,
)
from katana_asgi.errors import ConfigurationError


def quota(place: Path, groups: str, files: dict[str, str]) -> float | None:
    """The quota where these are the lines of /proc/self/cgroup and the files below the mount."""
    (place / "groups").write_text(groups)
    for name, text in files.items():
        file = place / "mount" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return processor_quota(place / "mount", place / "groups")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("", {"cpu.max": "150000 100000\n"}, None),
        # The smallest of one and those around it.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "cpu.max": "50000 100000"}, 0.5),
        # A container that sees only its own part of the tree.
        ("0::/outside/of/it\n", {"cpu.max": "300000 100000"}, 3.0),
        # Version 1.
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n",
            {"cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            2.5,
        ),
        (
            "3:cpu:/x\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("garbage\n::\n0:\n", {"cpu.max": "nonsense"}, None),
    ],
)
def test_the_quota_is_the_smallest_of_all_around(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float | None
) -> None:
    assert quota(tmp_path, groups, files) == expected


def test_without_proc_there_is_no_quota(tmp_path: Path) -> None:
    assert processor_quota(tmp_path, tmp_path / "missing") is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_auto_is_what_the_cpuset_leaves() -> None:
    """In a process that may use one processor of all."""
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from katana_asgi.config.model import Config\n"
        "print(Config(app='main:app', workers='auto').workers)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "1\n", ran.stderr


def test_auto_is_a_number_of_workers() -> None:
    assert 1 <= usable_processors() <= allowed_processors()
    assert Config(app="main:app", workers="auto").workers == usable_processors()  # type: ignore[arg-type]
    assert Config(app="main:app", workers=3).workers == 3


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use an integer from 1 to 1024, or auto"):
        Config(app="main:app", workers="many")  # type: ignore[arg-type]
