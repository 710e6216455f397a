"""What serves requests keeps no state in modules: a second loop in the process must not meet it.

A table that never changes may stand in a module; what is filled, counted or set belongs to an
object that a worker owns (``WorkerContext`` and what it holds).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from source_tree import MODULES, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = {
    "asgi", "balance", "bounded", "cache", "codec", "compress", "files", "http", "http1", "http2",
    "net", "routes", "websocket", "worker",
}  # fmt: skip
"""The rooms that a request goes through."""

CONTAINERS = {
    "dict", "list", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict",
    "WeakSet", "WeakKeyDictionary", "WeakValueDictionary",
}  # fmt: skip

CHANGING = {
    "append", "add", "update", "clear", "pop", "popleft", "remove", "discard", "extend", "insert",
    "setdefault", "appendleft", "popitem", "register",
}  # fmt: skip

EXCUSED = {
    "cache/invalidation.py:_caches": "an application invalidates from wherever it is",
    "cache/invalidation.py:_relays": "... and all workers hear of it",
    "codec/huffman.py:_ROWS": "a table that is made on import",
    "net/redirect_sockets.py:_shared": "what the supervisor bound before it forked",
    "net/sockets.py:_BOUND": "files of Unix sockets, which are the process's",
    "net/sockets.py:_OURS": "sockets that this process has bound",
    "net/tls_details.py:_suites": "asked of OpenSSL once a process",
    "net/tls_prepared.py:_shared": "what the supervisor read before it forked",
    "worker/forked.py:_forks": "forks are the process's",
    "worker/forked.py:_kept": "forks are the process's",
    "worker/forked.py:_loops": "forks are the process's",
    "worker/forked.py:_registered": "forks are the process's",
    "worker/signals.py:_handlers_before": "signals are the process's",
}
"""Module state that is there for a reason."""

MEMOS = {
    "cache/request.py:_origin": "the same text has the same value in every loop",
    "codec/masking.py:_table": "the same key has the same table in every loop",
}
"""Functions that remember what they have returned."""


def containers(module: Module) -> dict[str, ast.stmt]:
    """The names in a module that stand for something which could be changed."""
    found: dict[str, ast.stmt] = {}
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        value = node.value
        literal = isinstance(
            value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp
        )
        made = (
            isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in CONTAINERS
        )
        if literal or made:
            found.update({ast.unparse(target): node for target in targets})
    return found


def changed_names(module: Module) -> Iterator[str]:
    """Names through which anything is changed: by a method, an item, or ``global``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in CHANGING:
                yield ast.unparse(node.func.value)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield ast.unparse(node.value)
        elif isinstance(node, ast.AugAssign):
            yield ast.unparse(node.target)


def module_state() -> set[str]:
    found = set()
    for module in MODULES:
        if module.room not in PATH:
            continue
        names = containers(module)
        own = {name for name in changed_names(module) if name in names}
        rebound = {
            name
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Global)
            for name in node.names
        }
        found |= {f"{module.name}:{name}" for name in own | rebound}
        # What other modules are given to change is as bad as what this one changes.
        found |= {f"{module.name}:{name}" for name, node in names.items() if is_empty(node)}
    return found


def is_empty(node: ast.stmt) -> bool:
    """Whether a container begins with nothing in it: it is there to be filled."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Call):
        return not value.args and not value.keywords
    return isinstance(value, ast.Dict | ast.List) and not (
        value.keys if isinstance(value, ast.Dict) else value.elts
    )


def test_no_module_on_the_way_of_a_request_keeps_state() -> None:
    state = module_state() - {"cache/request.py:_NO_DIRECTIVES"}  # empty, and stays so
    assert state == EXCUSED.keys()


def test_functions_that_remember_are_known() -> None:
    remembering = {
        f"{module.name}:{node.name}"
        for module in MODULES
        if module.room in PATH
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef)
        and any("cache" in ast.unparse(each) for each in node.decorator_list)
    }
    assert remembering == MEMOS.keys()
