"""Runs mutants in one collected session of pytest: a process forked for each, and no import more.

First all tests run once as they are, and note which functions they come by and what that takes.
Then each mutant gets the tests that come by its function, the quickest files first, until one of
them fails. What needs ten times its CPU time and more is killed: a loop without end is noticed,
too. Between mutants there are controls: tests run in the same way and with no mutant at work.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLAN: Final = Path("plan.json")
RESULTS: Final = Path("results.jsonl")
BASE: Final = Path("base")

AT_MOST: Final = 8.0
"""Seconds of tests that a mutant gets; those beyond are left out, and it may survive for it."""

HANGS: Final = 300.0
"""Seconds after which a process counts as hanging, however busy the machine is."""

CONTROL_EVERY: Final = 25


BACK_ENDS: Final = {"h11", "httptools"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what runs again on another back end: only the scanning of heads differs."""
    items[:] = [item for item in items if not _is_repeated(item)]


def _is_repeated(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    params = [] if spec is None else [each for each in spec.params.values() if type(each) is str]
    return item.path.parent.name in ("across", "wire") and not BACK_ENDS.isdisjoint(params)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Instead of the tests: the mutants of the plan, until its time is up."""
    plan = json.loads(PLAN.read_text("utf-8"))
    covering = _base(session, plan["children"])
    names = iter(_with_controls(plan["mutants"]))
    running: dict[int, tuple[str, float]] = {}
    while True:
        while len(running) < plan["children"] and time.time() < plan["until"]:
            name = next(names, None)
            if name is None:
                break
            found = covering[mangled_name_from_mutant_name(name.removeprefix("control "))]
            pid = _fork(lambda n=name, f=found: _try(session, n, f))
            running[pid] = name, time.monotonic() + HANGS
        if not running:
            return True
        name, code = _ended(running)
        if code < 0:  # by a signal: it hung, used up its time, or crashed
            _note({"name": name, "fate": "killed", "by": f"signal {-code}", "tests": 0})


def _ended(running: dict[int, tuple[str, float]]) -> tuple[str, int]:
    """The next process to end, and its exit code; kills those that hang."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            return running.pop(pid)[0], os.waitstatus_to_exitcode(status)
        for each, (_, deadline) in running.items():
            if time.monotonic() > deadline:
                os.kill(each, signal.SIGKILL)
        time.sleep(0.02)


def _with_controls(names: list[str]) -> Iterable[str]:
    for number, name in enumerate(names):
        if number % CONTROL_EVERY == 0:
            yield f"control {name}"
        yield name


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            work()
        finally:
            os._exit(0)
    return pid


def _note(result: dict[str, Any]) -> None:
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def _first_failure(session: pytest.Session, items: list[pytest.Item]) -> str | None:
    """Run tests; the name of the first that fails."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return item.nodeid
    return None


def _try(session: pytest.Session, name: str, found: list[tuple[pytest.Item, float]]) -> None:
    seconds = sum(each for _, each in found)
    limit = int(20 + 10 * seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    set_mutant_under_test("" if name.startswith("control ") else name)
    by = _first_failure(session, [item for item, _ in found]) if found else None
    _note({"name": name, "fate": "killed" if by else "survived", "by": by, "tests": len(found)})


# -- the tests as they are -------------------------------------------------------------------


def _base(session: pytest.Session, children: int) -> dict[str, list[tuple[pytest.Item, float]]]:
    """The tests that come by each function, with their CPU seconds, in the order to run them.

    What was noted of a file stays until the file changes.
    """
    BASE.mkdir(exist_ok=True)
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in session.items:
        files[item.path].append(item)
    notes = {path: BASE / f"{path.parent.name}.{path.stem}.json" for path in files}
    todo = [path for path in files if not _is_newer(notes[path], path)]
    running: dict[int, tuple[str, float]] = {}
    for path in todo:
        if len(running) == children:
            _ended(running)
        pid = _fork(lambda p=path: _measure(session, files[p], notes[p]))
        running[pid] = path.name, time.monotonic() + HANGS
    while running:
        _ended(running)
    found = [json.loads(note.read_text("utf-8")) for note in notes.values() if note.exists()]
    return _order(session, [row for rows in found for row in rows])


def _is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime > than.stat().st_mtime


def _measure(session: pytest.Session, items: list[pytest.Item], note: Path) -> None:
    set_mutant_under_test("stats")
    rows = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        before, failed = time.process_time(), session.testsfailed
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        rows.append(
            {
                "test": item.nodeid,
                "seconds": time.process_time() - before,
                "passed": session.testsfailed == failed,
                "functions": sorted(state()._stats),
            }
        )
    note.write_text(json.dumps(rows), "utf-8")


def _order(
    session: pytest.Session, rows: list[dict[str, Any]]
) -> dict[str, list[tuple[pytest.Item, float]]]:
    items = {item.nodeid: item for item in session.items}
    covering: dict[str, dict[Path, list[tuple[pytest.Item, float]]]] = defaultdict(dict)
    for row in rows:
        item = items.get(row["test"])
        if item is not None and row["passed"]:
            for function in row["functions"]:
                covering[function].setdefault(item.path, []).append((item, row["seconds"]))
    ordered: dict[str, list[tuple[pytest.Item, float]]] = defaultdict(list)
    for function, by_file in covering.items():
        left = AT_MOST
        for found in sorted(by_file.values(), key=lambda each: sum(cost for _, cost in each)):
            for each in found:
                if left > 0:
                    ordered[function].append(each)
                    left -= each[1]
    return ordered
