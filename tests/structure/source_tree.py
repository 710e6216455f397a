"""The modules of the package as the structure tests see them: parsed, never imported."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MODULES", "PACKAGE", "Function", "Module"]

PACKAGE = "katana_asgi"


@dataclass(frozen=True)
class Function:
    """A function or method; a nested one is also part of the one around it."""

    where: str  # katana_asgi/net/clock.py:Clock.start
    lines: int
    node: ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path

    @cached_property
    def name(self) -> str:
        """The path from the package on, such as "net/clock.py"."""
        return self.path.relative_to(ROOT / PACKAGE).as_posix()

    @cached_property
    def room(self) -> str:
        """The folder, or for a module of the package itself its name without the suffix."""
        return self.name.partition("/")[0].removesuffix(".py")

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.text, self.name)

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Every import anywhere in the module: line and full name of the module imported."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.name}:{node.lineno}: a relative import"
                found += [(node.lineno, self._imported(node, alias)) for alias in node.names]
        return found

    @staticmethod
    def _imported(node: ast.ImportFrom, alias: ast.alias) -> str:
        """``from katana_asgi.net import clock`` imports the module net.clock, not only net."""
        name = f"{node.module}.{alias.name}"
        path = ROOT / name.replace(".", "/")
        return name if path.is_dir() or path.with_suffix(".py").exists() else str(node.module)

    @cached_property
    def functions(self) -> list[Function]:
        """All functions and methods, nested ones included."""
        return list(self._functions(self.tree, ""))

    def _functions(self, node: ast.AST, around: str) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            name = around
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{around}.{child.name}" if around else child.name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                assert child.end_lineno is not None
                lines = child.end_lineno - child.lineno + 1
                yield Function(f"{self.name}:{name}", lines, child)
            yield from self._functions(child, name)


MODULES = [Module(path) for path in sorted((ROOT / PACKAGE).rglob("*.py"))]
