"""What may be compiled is whole: mypyc knows one line of classes, and no mixed ones.

The list is in ``pyproject.toml``; ``hatch_build.py`` compiles it.
"""

from __future__ import annotations

import ast
import tomllib

from source_tree import MODULES, PACKAGE, Module

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]

COMPILED = {path.removeprefix(f"{PACKAGE}/") for path in HOOK["modules"]}


def classes(module: Module) -> dict[str, list[str]]:
    """The classes of a module at its top level, each with the names of its bases."""
    return {
        node.name: [ast.unparse(base).partition("[")[0] for base in node.bases]
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }


def bases_of_ours(module: Module) -> dict[str, list[str]]:
    """The classes of a module, each with the modules of the package its bases come from."""
    origins = dict.fromkeys(classes(module), module.name)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            path = str(node.module).removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"
            origins.update((alias.asname or alias.name, path) for alias in node.names)
    return {
        name: [origins[base] for base in bases if base in origins]
        for name, bases in classes(module).items()
    }


def members(node: ast.AST) -> list[tuple[str, bool]]:
    """What a class assigns in its body and to ``self``, and whether with a type."""
    found = []
    for child in ast.walk(node):
        targets = getattr(child, "targets", None) or [getattr(child, "target", None)]
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                found.append((target.attr, isinstance(child, ast.AnnAssign)))
            elif isinstance(target, ast.Name) and child in node.body:
                found.append((target.id, isinstance(child, ast.AnnAssign)))
    return found


def test_a_compiled_class_declares_nothing_that_its_base_has() -> None:
    """The collector would count such an attribute twice, and clear what is still in use."""
    nodes = {
        node.name: node
        for module in MODULES
        if module.name in COMPILED
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }
    again = []
    for node in nodes.values():
        base = node
        while base := nodes.get(ast.unparse(base.bases[0]) if base.bases else ""):
            inherited = {name for name, _ in members(base)}
            again += [
                f"{node.name}.{name}"
                for name, typed in members(node)
                if typed and name in inherited
            ]
    assert again == []


def test_the_list_names_modules_that_there_are_once_and_in_order() -> None:
    assert {module.name for module in MODULES} >= COMPILED
    assert HOOK["modules"] == sorted({f"{PACKAGE}/{name}" for name in COMPILED})


def test_a_class_is_compiled_together_with_its_bases_or_like_them_is_not() -> None:
    assert [
        f"{module.name}: {name}"
        for module in MODULES
        for name, origins in bases_of_ours(module).items()
        if any((origin in COMPILED) is not (module.name in COMPILED) for origin in origins)
    ] == []


def test_a_compiled_class_has_one_base() -> None:
    assert [
        f"{module.name}: {name}"
        for module in MODULES
        if module.name in COMPILED
        for name, bases in classes(module).items()
        if len(bases) > 1
    ] == []


def test_the_call_of_the_application_keeps_its_frame() -> None:
    assert "asgi/call.py" not in COMPILED  # the end of a worker finds running calls by it
