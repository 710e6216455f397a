"""The floors of coverage: every room has them, and they only rise."""

from __future__ import annotations

import json

from source_tree import MODULES

from tests.ratchet import CORE, FLOORS, LEAST, below, measured, raised

HELD = json.loads(FLOORS.read_text(encoding="utf-8"))


def _report(**covered: int) -> dict:
    summary = {"num_statements": 10, "num_branches": 4, "covered_lines": 9}
    return {
        "files": {
            f"katana_asgi/{room}/module.py": {"summary": {**summary, "covered_branches": count}}
            for room, count in covered.items()
        }
    }


def test_every_room_has_floors_and_the_core_high_ones():
    rooms = {name.partition("/")[0] if "/" in name else "." for name in _names()}
    assert set(HELD) == rooms
    for room in CORE:
        assert min(HELD[room].values()) >= LEAST, room


def _names() -> list[str]:
    return [module.name for module in MODULES]


def test_figures_are_those_of_all_files_of_a_room():
    report = _report(http1=3)
    report["files"]["katana_asgi/http1/other.py"] = {
        "summary": {
            "num_statements": 10,
            "num_branches": 0,
            "covered_lines": 1,
            "covered_branches": 0,
        }
    }
    report["files"]["katana_asgi/cli.py"] = report["files"]["katana_asgi/http1/module.py"]
    assert measured(report) == {
        ".": {"lines": 90.0, "branches": 75.0},
        "http1": {"lines": 50.0, "branches": 75.0},
    }


def test_a_room_under_its_floor_without_one_or_gone_is_reported():
    found = measured(_report(routes=3, files=4))
    floors = {"routes": {"lines": 90.0, "branches": 75.1}, "gone": {"lines": 1.0, "branches": 1.0}}
    assert below(found, floors) == [
        "gone: no such room",
        "files: has no floor yet",
        "routes: 75.0 % of its branches, and was 75.1 %",
    ]


def test_floors_rise_and_never_fall():
    found = measured(_report(routes=3, files=4))
    floors = {"routes": {"lines": 95.0, "branches": 10.0}}
    assert raised(found, floors) == {
        "files": {"lines": 89.0, "branches": 99.0},
        "routes": {"lines": 95.0, "branches": 74.0},
    }
