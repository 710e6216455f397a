"""What the tests reach of each room, against the least that it may be: ``make coverage``.

``tests/coverage.json`` has the floors of each room, in percent of its lines and branches. A room
that falls under one of them fails the run; one that has risen is shown with its new figure, which
``python -m tests.ratchet --raise`` writes down. It never lowers one.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

__all__ = ["CORE", "FLOORS", "LEAST", "below", "measured", "raised"]

ROOT = Path(__file__).parent.parent
FLOORS = ROOT / "tests" / "coverage.json"
REPORT = ROOT / "build" / "coverage" / "report.json"
"""What ``coverage json`` writes."""

SLACK = 1.0
"""Points that a new floor stays below what was measured: some branches are taken by chance."""

CORE = ("asgi", "codec", "http1", "net", "websocket")
LEAST = 95.0
"""The lowest floor that a room of the core may have."""

Floors = dict[str, dict[str, float]]


def measured(report: dict[str, Any]) -> Floors:
    """Lines and branches that were reached, in percent, of each room in a report."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, file in report["files"].items():
        parts = Path(name).parts[1:]
        sums[parts[0] if len(parts) > 1 else "."].update(file["summary"])
    return {
        room: {
            "lines": _percent(found["covered_lines"], found["num_statements"]),
            "branches": _percent(found["covered_branches"], found["num_branches"]),
        }
        for room, found in sorted(sums.items())
    }


def _percent(covered: float, of: float) -> float:
    return math.floor(1000 * covered / of) / 10 if of else 100.0


def below(found: Floors, floors: Floors) -> list[str]:
    """What is wrong: a room under one of its floors, without floors, or no longer there."""
    faults = [f"{room}: no such room" for room in floors if room not in found]
    for room, figures in found.items():
        if room not in floors:
            faults.append(f"{room}: has no floor yet")
            continue
        for kind, figure in figures.items():
            if figure < floors[room][kind]:
                faults.append(f"{room}: {figure} % of its {kind}, and was {floors[room][kind]} %")
    return faults


def raised(found: Floors, floors: Floors) -> Floors:
    """The floors with those that can be higher; a new room gets what it has."""
    return {
        room: {
            kind: max(
                round(figure - SLACK, 1),
                floors.get(room, {}).get(kind, 0.0),
                LEAST if room in CORE else 0.0,
            )
            for kind, figure in figures.items()
        }
        for room, figures in found.items()
    }


def main(arguments: list[str]) -> int:
    """Print the figures of all rooms; 1 if one is too low, and then how to find what is missing."""
    found = measured(json.loads(REPORT.read_text(encoding="utf-8")))
    floors: Floors = json.loads(FLOORS.read_text(encoding="utf-8")) if FLOORS.exists() else {}
    if arguments == ["--raise"]:
        floors = raised(found, floors)
        FLOORS.write_text(json.dumps(floors, indent=2) + "\n", encoding="utf-8")
    for room, figures in found.items():
        line = [f"{figures[kind]:6.1f} % of {kind}" for kind in ("lines", "branches")]
        print(f"{room:12}", *line)
    faults = below(found, floors)
    if faults:
        print("", *faults, sep="\n")
        print("\nWhat is missing: .venv/bin/coverage report -m --include 'katana_asgi/ROOM/*'")
        print("When that is tested, or deleted: .venv/bin/python -m tests.ratchet --raise")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
