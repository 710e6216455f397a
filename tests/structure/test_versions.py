"""What is of HTTP/1.1 stays in its own room, and each part of a connection has one owner.

The rooms below are shared by all versions of HTTP; a byte of one version in them would have to
be copied for the next.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from source_tree import MODULES, Module

if TYPE_CHECKING:
    from collections.abc import Iterator

NEUTRAL = {"asgi", "http", "net", "observe", "routes"}

find_wire_form = re.compile(r"HTTP/1\.|\r\n|connection: *", re.IGNORECASE).search

WIRE_FORMS = {
    "http/ranges.py": "the lines of multipart/byteranges, which is MIME in every version",
    "net/proxy_protocol.py": "the PROXY header is lines of its own, in front of any version",
    "net/tls.py": "the name of HTTP/1.1 in ALPN",
    "net/tls_listener.py": "plain HTTP on a port for TLS is told so: nothing else was agreed",
}
"""Modules that may have them, each with its reason."""


def constants(module: Module) -> Iterator[tuple[int, str]]:
    """The strings and bytes that a module works with; docstrings do nothing."""
    idle = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and id(node) not in idle:
            if isinstance(node.value, str):
                yield node.lineno, node.value
            elif isinstance(node.value, bytes):
                yield node.lineno, node.value.decode("latin-1")


def test_what_all_versions_share_has_no_byte_of_one() -> None:
    found = [
        f"{module.name}:{line}"
        for module in MODULES
        if module.room in NEUTRAL
        for line, value in constants(module)
        if find_wire_form(value)
    ]
    assert {place.partition(":")[0] for place in found} == WIRE_FORMS.keys(), found


def test_what_all_versions_share_imports_no_version() -> None:
    """Floors say the same; this one stays when a version moves to another floor."""
    for module in MODULES:
        if module.room in NEUTRAL | {"codec"}:
            rooms = {imported.split(".")[1] for _, imported in module.imports if "." in imported}
            assert not rooms & {"http1", "http2", "http3"}, module.name


# -- one owner


def assignments(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes that are given a value, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node


def test_one_module_writes_the_state_of_a_connection() -> None:
    writers = {
        module.name
        for module in MODULES
        for target in assignments(module.tree)
        if target.attr == "state"
        and (module.room == "http1" or "connection" in ast.unparse(target.value))
    }
    assert writers == {"http1/connection.py"}


def test_the_parts_of_a_connection_do_not_write_each_other_s_attributes() -> None:
    others = re.compile(r"(self\._?)?(connection|reading|writing|peer|reader|writer)")
    assert [
        f"{module.name}:{target.lineno}: {ast.unparse(target)}"
        for module in MODULES
        if module.room in ("http1", "asgi", "websocket")
        for target in assignments(module.tree)
        if others.fullmatch(ast.unparse(target.value))
    ] == []


def test_each_slot_of_the_path_has_its_first_value_where_it_stands() -> None:
    """In ``__init__``, or it is declared in the class as something that comes with an event."""
    late = []
    for module in MODULES:
        if module.room not in ("http1", "asgi"):
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            slots: set[str] = set()
            declared: set[str] = set()
            for child in node.body:
                if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "__slots__":
                    found = ast.literal_eval(child.value)
                    slots = {found} if isinstance(found, str) else set(found)
                elif isinstance(child, ast.AnnAssign):
                    declared.add(ast.unparse(child.target))
                elif isinstance(child, ast.FunctionDef) and child.name == "__init__":
                    declared |= {target.attr for target in assignments(child)}
            late += [f"{module.name}:{node.name}.{slot}" for slot in sorted(slots - declared)]
    assert late == []
