"""What serves requests keeps no state in modules: a second loop in the process must not meet it.

A table that never changes may stand in a module; what is filled, counted or set belongs to an
object that a worker owns (``WorkerContext`` and what it holds).
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import operator
import re
import struct
import threading
import types
from contextvars import ContextVar
from enum import Enum
from functools import partial
from logging import Logger
from pathlib import PurePath
from typing import TYPE_CHECKING

from source_tree import MODULES, PACKAGE, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

OFF_THE_PATH = {
    "__main__", "cli", "cli_options", "django", "exec_cli", "front", "gunicorn", "inspect_cli",
    "litestar", "pytest_plugin", "supervisor", "uvicorn",
}  # fmt: skip
"""The rooms that no request goes through: what starts a service, and the parent process."""

PATH = [module for module in MODULES if module.room not in OFF_THE_PATH]

CONTAINERS = {
    "dict", "list", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict",
    "WeakSet", "WeakKeyDictionary", "WeakValueDictionary",
}  # fmt: skip

CHANGING = {
    "append", "add", "update", "clear", "pop", "popleft", "remove", "discard", "extend", "insert",
    "setdefault", "appendleft", "popitem", "register",
}  # fmt: skip

TABLES = (dict, list, set)
"""What changes them is seen in the source."""

UNCHANGING = (
    bool, bytes, float, int, range, str, type, types.ModuleType, types.NoneType,
    types.BuiltinFunctionType, types.FunctionType, types.MappingProxyType, types.MethodWrapperType,
    operator.attrgetter, operator.itemgetter, partial, re.Pattern, struct.Struct,
    Enum, PurePath, Logger, ContextVar,
    threading.local,  # each loop has its thread
)  # fmt: skip

EXCUSED = {
    "asgi/extended.py:_DISK": "closes descriptors, and remembers none",
    "cache/invalidation.py:_caches": "an application invalidates from wherever it is",
    "cache/invalidation.py:_relays": "... and all workers hear of it",
    "config/env_file.py:_loaded": "the environment is the process's",
    "codec/huffman.py:_ROWS": "a table that is made on import",
    "net/redirect_sockets.py:_shared": "what the supervisor bound before it forked",
    "net/sockets.py:_BOUND": "files of Unix sockets, which are the process's",
    "net/sockets.py:_OURS": "sockets that this process has bound",
    "net/tls_details.py:_suites": "asked of OpenSSL once a process",
    "net/tls_prepared.py:_shared": "what the supervisor read before it forked",
    "observe/record.py:NO_HEAD": "a head, which nothing changes",
    "observe/record.py:PROTOCOLS": "a table, with a rule for what is not in it",
    "observe/stacks.py:_stacks": "the main thread's, for signals",
    "worker/forked.py:_forks": "forks are the process's",
    "worker/forked.py:_kept": "forks are the process's",
    "worker/forked.py:_loops": "forks are the process's",
    "worker/forked.py:_registered": "forks are the process's",
    "worker/signals.py:_handlers_before": "signals are the process's",
    "worker/signals.py:_stops": "signals are the process's",
}
"""Module state that is there for a reason."""

MEMOS = {
    "cache/request.py:_origin": "the same text has the same value in every loop",
    "codec/masking.py:_table": "the same key has the same table in every loop",
    "http/codings.py:_remembered": "the same value accepts the same in every loop",
    "http2/heads.py:_is_valid_host": "the same text is as valid in every loop",
    "observe/access_values.py:_iso_second": "the same second is the same text in every loop",
    "observe/access_values.py:clock_time": "the same second is the same text in every loop",
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
    for module in PATH:
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


def objects(module: Module) -> Iterator[tuple[str, object]]:
    """What the names of a module, and of its classes, stand for; not what it imports."""
    dotted = [PACKAGE, *module.name.removesuffix(".py").removesuffix("__init__").split("/")]
    loaded = importlib.import_module(".".join(filter(None, dotted)))
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for name, value in vars(loaded).items():
        if name in imported or name.startswith(("__", "@")):  # pytest adds names with @
            continue
        yield name, value
        if isinstance(value, type) and value.__module__ == loaded.__name__:
            for member, inner in vars(value).items():
                if isinstance(inner, (*TABLES, bytearray, memoryview)) and member[:2] != "__":
                    yield f"{name}.{member}", inner


def may_change(value: object) -> bool:
    """Whether an object can be changed, by itself or by those who have it."""
    if isinstance(value, tuple | frozenset):
        return any(may_change(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return not type(value).__dataclass_params__.frozen
    unchanging = type(value) in (*TABLES, object) or isinstance(value, UNCHANGING)
    # ... or a type's description, or a function that remembers, which is counted below.
    return not unchanging and type(value).__module__ not in {
        "collections.abc", "functools", "types", "typing",
    }  # fmt: skip


def changing_objects() -> set[str]:
    return {
        f"{module.name}:{name}"
        for module in PATH
        for name, value in objects(module)
        if may_change(value)
    }


def test_no_module_on_the_way_of_a_request_keeps_state() -> None:
    state = module_state() | changing_objects()
    assert state - {"cache/request.py:_NO_DIRECTIVES"} == EXCUSED.keys()  # empty, and stays so


def test_functions_that_remember_are_known() -> None:
    remembering = {
        f"{module.name}:{name}"
        for module in PATH
        for name, value in objects(module)
        if hasattr(value, "cache_info")
    }
    assert remembering == MEMOS.keys()
