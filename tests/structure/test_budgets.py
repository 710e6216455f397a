"""Modules and functions stay small, say what they are for and leave nothing for later."""

from __future__ import annotations

import ast
import re
import statistics
import tokenize
from typing import TYPE_CHECKING

from source_tree import MODULES, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE_LINES = 400
TYPICAL_MODULE_LINES = 150
FUNCTION_LINES = 60
FUNCTION_MEDIAN = 8
FUNCTION_90TH_PERCENTILE = 30

LONG_MODULES = {
    "http1/connection.py": "the order of a connection's steps is told in one place",
    "http/forwarded.py": "what is believed of a proxy, and the parsing of addresses for it",
    "http2/connection.py": "every kind of frame changes the same streams and the same end",
}
"""Modules above the limit, each with its reason."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions above the limit, each with its reason."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "stuff", "tools"}

REASONED = {
    "type: ignore": r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\] *# \S.+",
    "noqa": r"# noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \S.+",
    "pragma": r"# pragma: no cover - \S.+",
}
"""What a comment looks like that tells a checker to look away: code and reason."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

FUNCTIONS = [function for module in MODULES for function in module.functions]


def test_modules_are_short() -> None:
    sizes = {module.name: module.text.count("\n") for module in MODULES}
    long = {name: size for name, size in sizes.items() if size > MODULE_LINES}
    assert long.keys() <= LONG_MODULES.keys(), long
    assert statistics.median(sizes.values()) <= TYPICAL_MODULE_LINES


def test_functions_are_short() -> None:
    long = {item.where: item.lines for item in FUNCTIONS if item.lines > FUNCTION_LINES}
    assert long.keys() <= LONG_FUNCTIONS.keys(), long
    sizes = [function.lines for function in FUNCTIONS]
    assert statistics.median(sizes) <= FUNCTION_MEDIAN
    assert statistics.quantiles(sizes, n=10)[-1] <= FUNCTION_90TH_PERCENTILE


def test_no_room_is_named_for_nothing_in_particular() -> None:
    names = {part for module in MODULES for part in re.split(r"[/._]", module.name)}
    assert not names & VAGUE


def test_every_module_says_what_it_is_for() -> None:
    assert [module.name for module in MODULES if not ast.get_docstring(module.tree)] == []


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Classes, functions and methods that others may use."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def base_names(node: ast.ClassDef) -> list[str]:
    """The names of its base classes, without their parameters and modules."""
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return [ast.unparse(base).rpartition(".")[2] for base in plain]


def methods(node: ast.ClassDef) -> dict[str, str | None]:
    """Its methods, each with its docstring."""
    return {
        child.name: ast.get_docstring(child) for child in node.body if isinstance(child, Definition)
    }


def classes_in(module: Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]


CLASSES = {node.name: node for module in MODULES for node in classes_in(module)}


def is_explained(method: str, owner: ast.ClassDef, neighbours: list[ast.ClassDef]) -> bool:
    """Whether a base class, or a protocol of the same module that it fulfils, says what it does."""
    above = [CLASSES[name] for name in base_names(owner) if name in CLASSES]
    own = methods(owner).keys()
    above += [
        node
        for node in neighbours
        if "Protocol" in base_names(node) and methods(node).keys() <= own
    ]
    return any(
        methods(node).get(method) or (node is not owner and is_explained(method, node, []))
        for node in above
    )


def test_everything_public_has_a_docstring_of_its_own_or_of_what_it_overrides() -> None:
    silent = []
    for module in MODULES:
        neighbours = classes_in(module)
        owners = {child: owner for owner in neighbours for child in owner.body}
        for node in public_definitions(module.tree):
            owner = owners.get(node)
            if ast.get_docstring(node) is None and not (
                owner is not None and is_explained(node.name, owner, neighbours)
            ):
                silent.append(f"{module.name}:{node.lineno}: {node.name}")
    assert silent == []


def comments(module: Module) -> list[tuple[int, str]]:
    """The comments, each with its line."""
    with module.path.open("rb") as file:
        return [
            (token.start[0], token.string)
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
        ]


def test_what_tells_a_checker_to_look_away_has_a_code_and_a_reason() -> None:
    assert [
        f"{module.name}:{line}: {comment}"
        for module in MODULES
        for line, comment in comments(module)
        for word, form in REASONED.items()
        if word in comment and not re.match(form, comment)
    ] == []


def test_nothing_is_left_for_later() -> None:
    left = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [module.name for module in MODULES if left.search(module.text)] == []
