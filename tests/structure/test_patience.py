"""No test gives up after a number of seconds of its own: each timeout has the factor in it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = sorted((ROOT / "tests").rglob("*.py"))

LIMITS = {
    "HTTPConnection": 2, "create_connection": 1, "exception": 0, "join": 0, "result": 0,
    "select": 3, "settimeout": 0, "timeout": 0, "wait": 0, "wait_for": 1, "within": 1,
}  # fmt: skip
"""Calls that wait, by their last name, and which of their arguments is how long."""

LEAST = 1.0
"""Seconds. Less is the pace of a loop that asks again, or a time that is the test's subject."""

STAY = {
    "tests/across/test_cached_responses.py": {  # the clock of a cache
        "time.monotonic() + 2",
        "time.monotonic() + 11",
    },
    "tests/balance/test_accepting.py": {"time.monotonic() * 1000"},  # a clock in milliseconds
    "tests/leaving/leaving_table.py": {
        "asyncio.timeout(1.2)",  # how much a client gets in that time is what is asked
        "asyncio.wait_for(writer.wait_closed(), 2)",  # no failure, it goes on after it
    },
}


def number_of(node: ast.expr | None, constants: dict[str, float]) -> float:
    """The seconds that an expression is without a factor; 0 where it may have one."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return constants.get(node.id, 0)
    return 0


def waits(call: ast.Call) -> Iterator[ast.expr]:
    """What may be the timeout of a call."""
    yield from (keyword.value for keyword in call.keywords if keyword.arg == "timeout")
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = LIMITS.get(name, len(call.args))
    yield from call.args[place : place + 1]


def is_clock(node: ast.expr) -> bool:
    """Whether it asks for the time."""
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func).endswith((".monotonic", ".time"))


def deadlines(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    """All that waits in a file, with how long."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((node, seconds) for seconds in waits(node))
        elif isinstance(node, ast.BinOp) and is_clock(node.left):
            yield node, node.right


def impatient(source: str) -> list[str]:
    """What gives up in a file after a fixed time."""
    tree = ast.parse(source)
    constants = {
        target.id: number_of(node.value, {})
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        ast.unparse(node)
        for node, seconds in deadlines(tree)
        if number_of(seconds, constants) >= LEAST
    ]


def test_every_timeout_of_the_tests_has_the_factor_in_it() -> None:
    found = {}
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        fixed = set(impatient(path.read_text())) - STAY.get(name, set())
        if fixed:
            found[name] = fixed
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "run(command, timeout=30)", "sock.settimeout(10)", "wait_for(first(), 2)",
        "LONG = 5\nthread.join(LONG)", "deadline = time.monotonic() + 20",
        "@pytest.mark.timeout(120)\ndef test(): pass", "select.select([one], [], [], 1.0)",
    ],
)  # fmt: skip
def test_a_fixed_timeout_is_found(line: str) -> None:
    assert len(impatient(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "run(command, timeout=3 * TIMEOUT)", "event.wait(0.02)", "load.wait_for(100)",
        "time.monotonic() + 2 * TIMEOUT", "Config(timeout_keep_alive=5)",
    ],
)  # fmt: skip
def test_other_times_are_not(line: str) -> None:
    assert impatient(line) == []
