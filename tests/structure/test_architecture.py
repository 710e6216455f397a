"""The page on the architecture is true where a machine can check it."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from source_tree import MODULES

from katana_asgi.http1.states import drawing
from tests.structure.test_floors import FLOORS
from tests.support import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def between(name: str) -> str:
    return PAGE.partition(f"<!-- {name}:start -->\n")[2].partition(f"<!-- {name}:end -->")[0]


def owners() -> list[tuple[str, str, str]]:
    """Module, class and attribute of each row; a row without an owner goes on with the last."""
    found, module, owner = [], "", ""
    for row in between("owners").splitlines()[2:]:
        _, where, _, attributes, _ = row.split("|")
        if "`" in where:
            module, owner = re.findall(r"`([^`]+)`", where)
        found += [(module, owner, name) for name in re.findall(r"`([^`]+)`", attributes)]
    return found


def test_the_transitions_are_those_of_the_table_that_connections_are_tested_against() -> None:
    assert between("states") == drawing()


@pytest.mark.parametrize(("module", "owner", "attribute"), owners())
def test_an_owner_has_what_it_is_said_to_own(module: str, owner: str, attribute: str) -> None:
    name = module.removesuffix(".py").replace("/", ".")
    assert attribute in getattr(import_module(f"katana_asgi.{name}"), owner).__slots__


def test_every_room_is_named() -> None:
    drawn = PAGE.partition("```text\n9  ")[2].partition("```")[0]
    rooms = {module.room for module in MODULES if "/" in module.name}
    assert [room for room in rooms if room not in drawn and f"`{room}/`" not in PAGE] == []
    for line in ("9  " + drawn).splitlines():
        floor, *words = line.split()
        assert all(FLOORS[word] == int(floor) for word in words if word in FLOORS), line


def test_every_module_that_is_named_exists() -> None:
    names = {module.name for module in MODULES}
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE))
    lost = {
        name
        for name in named
        if not name.startswith(("tests/", "hatch_"))
        and not any(each == name or each.endswith(f"/{name}") for each in names)
    }
    assert lost == set()
