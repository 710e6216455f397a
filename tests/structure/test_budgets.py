"""Classes and functions stay small, say what they are for and leave nothing for later."""

from __future__ import annotations

import ast
import re
import statistics
import tokenize
from typing import TYPE_CHECKING

from source_tree import MODULES, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE_LINES = 600
TYPICAL_MODULE_LINES = 150
CLASS_LINES = 600
CLASS_SLOTS = 25
STEPS_OF_INHERITANCE = 1
FUNCTION_LINES = 60
FUNCTION_MEDIAN = 8
FUNCTION_90TH_PERCENTILE = 30

LONG_MODULES = {
    "http2/connection.py": "every kind of frame changes the same streams and the same end",
    "http1/connection.py": "the order of a connection's steps is told in one place",
    "worker/server.py": "the life of a server, and all that a program may ask of it, is one class",
}
"""Modules above the limit, each with its reason."""

LARGE_CLASSES = {
    "http2/connection.py:Http2Connection": "the one owner of its own state and of all streams",
    "http1/connection.py:Http1Connection": "the one owner of the state and the order of requests",
    "asgi/extended.py:TrailersExchange": "an exchange, with what it owes behind its content",
    "asgi/context.py:WorkerContext": "one per worker: what all others need is copied here once",
    "websocket/writing.py:WebSocketWriter": "an exchange and a frame connection in one",
    "websocket/lifecycle.py:WebSocketLifecycle": "an exchange and a frame connection in one",
    "websocket/session.py:WebSocketSession": "an exchange and a frame connection in one",
}
"""Classes above the limits, each with its reason; slots count with those of all bases."""

LONG_DESCENT = {
    "asgi/extended.py:TrailersExchange": "an exchange with extensions, for clients of trailers",
    "config/kinds.py": "each kind of setting narrows the one it comes from",
    "config/members.py": "each kind of setting narrows the one it comes from",
    "config/static_files.py:StaticDirKind": "each kind of setting narrows the one it comes from",
    "supervisor/supervisor.py:Supervisor": "what becomes of workers, below what becomes of all",
    "supervisor/reload.py:ReloadSupervisor": "a supervisor that starts its workers another way",
    "websocket/session.py:WebSocketSession": "three layers: frames out, frames in, the application",
    "websocket/lifecycle.py:WebSocketLifecycle": "the layer above that of frames out",
}
"""Classes, or all of a module, that have more than one step of descent, with the reason."""

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


def test_modules_are_short() -> None:
    sizes = {module.name: module.text.count("\n") for module in MODULES}
    long = {name: size for name, size in sizes.items() if size > MODULE_LINES}
    assert long.keys() <= LONG_MODULES.keys(), long
    assert statistics.median(sizes.values()) <= TYPICAL_MODULE_LINES


def test_classes_are_small() -> None:
    large = {}
    for module in MODULES:
        for node in classes_in(module):
            lines, slots = lines_of(node), len(all_slots(node))
            if lines > CLASS_LINES or slots > CLASS_SLOTS:
                large[f"{module.name}:{node.name}"] = (lines, slots)
    assert large.keys() == LARGE_CLASSES.keys(), large


def test_descent_is_short() -> None:
    """Exceptions, protocols and what a library asks for are no step."""
    long = {
        f"{module.name}:{node.name}": steps
        for module in MODULES
        for node in classes_in(module)
        if (steps := steps_above(node)) > STEPS_OF_INHERITANCE and not is_exception(node)
    }
    excused = {name for name in long if name in LONG_DESCENT}
    excused |= {name for name in long if name.partition(":")[0] in LONG_DESCENT}
    assert long.keys() == excused, long


def test_every_excuse_is_needed() -> None:
    classes = {f"{module.name}:{node.name}" for module in MODULES for node in classes_in(module)}
    names = {module.name for module in MODULES}
    assert (LARGE_CLASSES.keys() | LONG_DESCENT.keys() | LONG_MODULES.keys()) <= classes | names


def test_functions_are_short() -> None:
    functions = [function for module in MODULES for function in module.functions]
    long = {item.where: item.lines for item in functions if item.lines > FUNCTION_LINES}
    assert long.keys() <= LONG_FUNCTIONS.keys(), long
    sizes = [function.lines for function in functions]
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


def lines_of(node: ast.ClassDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def slots_of(node: ast.ClassDef) -> list[str]:
    """The slots that a class adds."""
    for child in node.body:
        if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "__slots__":
            found = ast.literal_eval(child.value)
            return [found] if isinstance(found, str) else list(found)
    return []


def bases(node: ast.ClassDef) -> list[ast.ClassDef]:
    """Its bases that are ours, protocols left out."""
    ours = [CLASSES[name] for name in base_names(node) if name in CLASSES]
    return [each for each in ours if "Protocol" not in base_names(each)]


def all_slots(node: ast.ClassDef) -> set[str]:
    """Its slots and those of its bases."""
    return set(slots_of(node)).union(*map(all_slots, bases(node)))


def steps_above(node: ast.ClassDef) -> int:
    return max((1 + steps_above(base) for base in bases(node)), default=0)


def is_exception(node: ast.ClassDef) -> bool:
    names = base_names(node)
    return "Exception" in names or any(map(is_exception, bases(node)))


def is_explained(method: str, owner: ast.ClassDef, neighbours: list[ast.ClassDef]) -> bool:
    """Whether a base class, or a protocol that it fulfils, says what it does.

    A protocol with a method or two may be fulfilled by chance: it counts in its own module.
    """
    above = [CLASSES[name] for name in base_names(owner) if name in CLASSES]
    declared = [node.target for node in owner.body if isinstance(node, ast.AnnAssign)]
    own = {*methods(owner), *slots_of(owner), *map(ast.unparse, declared)}
    above += [
        node
        for node in CLASSES.values()
        if "Protocol" in base_names(node)
        and methods(node).keys() <= own
        and (node in neighbours or len(methods(node)) > 2)
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
