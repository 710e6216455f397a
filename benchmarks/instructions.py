"""Instructions for each request, counted by callgrind: the same on a busy machine and an idle one.

Requests go through a connection in memory (``inside.py``). A call of ``getloadavg``, which
nothing else makes, ends a section: callgrind writes what it has counted and starts anew. The
budgets are in ``instructions.json``; a scenario above its budget fails the run.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.inside import Case, Inside

__all__ = ["Finding", "compare", "count", "main"]

BUDGETS = Path(__file__).parent / "instructions.json"
ROOT = Path(__file__).parent.parent
FEW, MANY = 64, 192
"""Requests of two kinds of section: their difference is what requests alone cost."""
REPEATS = 2
"""Sections of each kind; the least counts, since a tick of the server's clock only adds."""
WARM_UP = 64
TOLERANCE = 1.05
OTHER_BUILD = 1.30
"""For an interpreter that was compiled otherwise than the one that the budgets are from."""
TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def build() -> str:
    """Return what decides over instruction counts: interpreter, compiler, processor."""
    return f"{platform.python_version()} {platform.python_compiler()} {platform.machine()}"


def version() -> str:
    """Return the version of Python that budgets are kept by."""
    return ".".join(platform.python_version_tuple()[:2])


def sections(names: list[str]) -> None:
    """Run the cases, each in two sections; this is what callgrind watches."""
    from benchmarks.inside import CASES, serving

    # A collection in one section and not in the other would count as a cost of requests.
    gc.disable()
    for settings, cases in groupby((CASES[name] for name in names), attrgetter("settings")):
        for inside in serving(**settings):
            for case in cases:
                _sections_of(case, inside)


def _sections_of(case: Case, inside: Inside) -> None:
    case.check(case.send(inside, 0, WARM_UP), WARM_UP)
    number = WARM_UP
    for requests in (FEW, MANY) * REPEATS:
        reads = case.reads(number, requests)  # the making of requests is not the server's work
        os.getloadavg()
        transports = case.send_reads(inside, reads)
        os.getloadavg()
        case.check(transports, requests)
        number += requests


def count(names: list[str]) -> dict[str, int]:
    """Return instructions for each response of each case.

    Raises ``RuntimeError`` where callgrind fails.
    """
    from benchmarks.inside import CASES

    with tempfile.TemporaryDirectory(prefix="katana-instructions-") as directory:
        totals = _callgrind(names, Path(directory))
    # Each measured section follows one that is not; after the last mark comes the rest.
    size = 4 * REPEATS
    expected = size * len(names) + 1
    if len(totals) != expected:
        raise RuntimeError(f"callgrind wrote {len(totals)} sections, not {expected}")
    result = {}
    for index, name in enumerate(names):
        measured = totals[size * index : size * (index + 1)][1::2]
        few, many = min(measured[::2]), min(measured[1::2])
        result[name] = round((many - few) / (MANY - FEW) / CASES[name].responses)
    return result


def _callgrind(names: list[str], directory: Path) -> list[int]:
    output = directory / "out"
    command = [
        "valgrind",
        "--tool=callgrind",
        "--dump-before=getloadavg",
        f"--callgrind-out-file={output}",
        sys.executable,
        "-m",
        "benchmarks.instructions",
        "--sections",
        ",".join(names),
    ]
    # Fixed hashes: otherwise the collisions of dictionaries differ from run to run.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        raise RuntimeError(f"callgrind failed: {done.stderr.strip()[-400:]}")
    numbered = sorted(directory.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    return [_total(path) for path in [*numbered, output]]


def _total(path: Path) -> int:
    found = TOTAL.search(path.read_text(errors="replace"))
    if found is None:
        raise RuntimeError(f"{path.name} has no total")
    return int(found.group(1))


class Finding:
    """A case against its budget; ``budget`` is ``None`` where this Python has none."""

    def __init__(self, name: str, counted: int, budget: int | None, tolerance: float) -> None:
        self.name = name
        self.counted = counted
        self.budget = budget
        self.limit = None if budget is None else round(budget * tolerance)

    @property
    def failed(self) -> bool:
        """Whether the case needs more than its budget allows."""
        return self.limit is not None and self.counted > self.limit

    def __str__(self) -> str:
        line = f"{self.name:<18} {self.counted:>10,} instructions"
        if self.budget is None:
            return f"{line}   no budget for Python {version()}"
        share = f"{self.counted / self.budget - 1:+.1%}"
        verdict = f"ABOVE the limit of {self.limit:,}" if self.failed else "ok"
        return f"{line}   budget {self.budget:>10,} ({share})   {verdict}"


def compare(counted: dict[str, int], stored: Mapping[str, object]) -> list[Finding]:
    """Return a finding for each case."""
    entry = stored.get(version())
    budgets = entry.get("budgets", {}) if isinstance(entry, dict) else {}
    same = isinstance(entry, dict) and entry.get("build") == build()
    tolerance = TOLERANCE if same else OTHER_BUILD
    return [Finding(name, number, budgets.get(name), tolerance) for name, number in counted.items()]


def main() -> int:
    """Count and compare; return 1 for a case above its budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--only", default="", help="cases, separated by commas")
    parser.add_argument("--update", action="store_true", help="make the counts the new budgets")
    parser.add_argument("--sections", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sections:
        sections(arguments.sections.split(","))
        return 0
    if shutil.which("valgrind") is None or importlib.util.find_spec("katana_asgi") is None:
        print("instructions: skipped, valgrind or katana_asgi is not installed")
        return 0
    from benchmarks.inside import CASES

    names = [name for name in arguments.only.split(",") if name] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
        return 2
    print(f"counting the instructions of {len(names)} cases, five seconds each", flush=True)
    counted = count(names)
    stored = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    if arguments.update:
        update(stored, counted)
    findings = compare(counted, stored)
    print("\n".join(map(str, findings)))
    failed = [finding.name for finding in findings if finding.failed]
    if failed:
        print(
            f"above budget: {', '.join(failed)}; if that is the price of something wanted, --update"
        )
    return 1 if failed else 0


def update(stored: dict[str, object], counted: dict[str, int]) -> None:
    """Store counts as budgets of this Python; a budget of a case that is gone goes as well."""
    from benchmarks.inside import CASES

    entry = stored.setdefault(version(), {})
    assert isinstance(entry, dict)
    entry["build"] = build()
    known = {**entry.get("budgets", {}), **counted}
    entry["budgets"] = {name: known[name] for name in CASES if name in known}
    BUDGETS.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
