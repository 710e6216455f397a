"""Tests and benchmarks see what anyone may see: no private name of another object or module."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = ("tests", "benchmarks", "examples")

DOCUMENTED = {"_asdict", "_exit", "_fields", "_make", "_replace"}
"""Of the standard library: of named tuples, which keep names without an underscore for fields, and
of ``os``."""

MUTMUT = {"_stats"}
"""What mutmut has noted of a test, and has no other name for."""

BY_NAME = {"delattr", "getattr", "hasattr", "setattr"}
"""Functions, and methods of ``monkeypatch``, that are given a name behind an object."""


may_reach = re.compile(
    r"(?<!self)(?<!cls)\._[a-zA-Z]|attr\(|^\s*(from .* import|import) .*\b_[a-zA-Z]|import \(", re.M
).search
"""What is cheap to ask of a source: whether it is worth parsing."""


def is_private(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("_") and not last.startswith("__") and last not in DOCUMENTED | MUTMUT


def is_own(node: ast.expr) -> bool:
    """Whether an object is the one whose class is being written."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def named(node: ast.Call) -> Iterator[str]:
    """The name that a call is given as text, of an object that is not the caller's own."""
    function = ast.unparse(node.func).rpartition(".")[2]
    if function in BY_NAME and node.args and not is_own(node.args[0]):
        for argument in node.args[:2]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The private names of others in a module, each with its line."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute) and not is_own(node.value):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call):
            names = [*named(node)]
        yield from ((node.lineno, name) for name in names if is_private(name))


def test_no_test_and_no_benchmark_reaches_for_what_is_private() -> None:
    sources = {
        path.relative_to(ROOT): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    assert [
        f"{path}:{line}: {name}"
        for path, source in sources.items()
        if may_reach(source)
        for line, name in private_names(ast.parse(source))
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        "server._access",
        "server._access = None",
        "a.b()._left.right",
        "from katana_asgi.cli import _command",
        "getattr(connection, '_state')",
        "monkeypatch.setattr(disk, '_syscall', None)",
        "monkeypatch.setattr('os._wrap_close', None)",
    ],
)
def test_what_is_private_is_found(source: str) -> None:
    assert len([*private_names(ast.parse(source))]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "self._state, cls._made, super()._send()",
        "head._replace(body=b''), os._exit(0), value.__class__",
        "from katana_asgi import __version__",
        "getattr(self, '_now')",
        "monkeypatch.setattr(module, 'name', '_value')",
    ],
)
def test_what_is_one_s_own_or_documented_is_let_be(source: str) -> None:
    assert [*private_names(ast.parse(source))] == []
