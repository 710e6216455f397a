"""Describes the machine and the versions that a run was made with.

A figure without them says nothing. Only facts that matter to speed are kept: no host name, no
path, no user.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["PACKAGES", "describe", "package_version", "tool_version"]

PACKAGES = (
    "katana-asgi",
    "uvloop",
    "httptools",
    "h11",
    "uvicorn",
    "zttp",
    "granian",
    "hypercorn",
    "gunicorn",
    "fastpysgi",
    "peregrine-server",
    "h2corn",
    "freastal",
    "starlette",
    "fastapi",
    "pydantic",
    "matplotlib",
)
TOOLS = {
    "wrk": ["wrk", "--version"],
    "h2load": ["h2load", "--version"],
    "nginx": ["nginx", "-v"],
}


def describe() -> dict[str, object]:
    """Return the machine, the interpreter and the versions of packages and tools."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": sorted(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "virtual": _virtual(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "siblings": _siblings(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
        "tools": {name: version for name in TOOLS if (version := tool_version(name))},
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution, or ``None``."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def tool_version(name: str) -> str | None:
    """Return the version that a program states, or ``None`` where it is not installed."""
    if shutil.which(name) is None:
        return None
    done = subprocess.run(TOOLS[name], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found.group() if found else "unknown"


def _processor() -> str:
    cpuinfo = _lines("/proc/cpuinfo")
    for line in cpuinfo:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _virtual() -> bool:
    return any(
        line.startswith("flags") and " hypervisor" in line for line in _lines("/proc/cpuinfo")
    )


def _siblings() -> list[str]:
    # Two hardware threads of one core share it: pinning to them is no separation.
    pattern = "devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list"
    return sorted({path.read_text().strip() for path in Path("/sys").glob(pattern)})


def _first_line(path: str) -> str | None:
    lines = _lines(path)
    return lines[0] if lines else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
