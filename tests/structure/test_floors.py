"""Who may import whom: lower floors and one's own room only, third parties through their door.

Imports for type checking and inside functions count like all others.
"""

from __future__ import annotations

import sys

import pytest
from source_tree import MODULES, PACKAGE, Module

FLOORS = {
    "config": 0,
    "errors": 0,
    "asgi_types": 0,
    "codec": 1,
    "http": 2,
    "bounded": 1,
    "routes": 3,
    "files": 3,
    "compress": 3,
    "cache": 3,
    "balance": 3,
    "net": 3,
    "observe": 4,
    "admin": 5,
    "asgi": 5,
    "http1": 6,
    "http2": 6,
    "websocket": 6,
    "worker": 7,
    "supervisor": 8,
    "launch": 9,
    "cli": 9,
    "cli_options": 9,
    "exec_cli": 9,
    "fresh": 9,
    "front": 9,
    "django": 9,
    "gunicorn": 9,
    "litestar": 9,
    "pytest_plugin": 9,
    "inspect_cli": 9,
    "testing": 9,
    "uvicorn": 9,
    "__init__": 9,
    "__main__": 9,
}

TOP = 9
"""The modules of the package itself; they are one room."""

DOORS = {
    "a2wsgi": ["asgi/wsgi.py"],
    "anyio": ["worker/server.py"],
    "brotli": ["compress/encoders.py"],
    "click": ["cli.py", "cli_options.py", "exec_cli.py", "inspect_cli.py", "litestar.py"],
    "django": ["django/__init__.py", "django/management/commands/runkatana.py"],
    "dotenv": ["config/env_file.py"],
    "gunicorn": ["gunicorn.py"],
    "h11": ["http1/parser_h11.py"],
    "httptools": ["http1/parser_httptools.py"],
    "litestar": ["litestar.py"],
    "opentelemetry": ["asgi/spans.py"],
    "prometheus_client": ["observe/exposition.py"],
    "pytest": ["pytest_plugin.py"],
    "rich": ["admin/top.py"],
    "setproctitle": ["supervisor/identity.py"],
    "uvloop": ["worker/loop.py"],
    "watchfiles": ["supervisor/file_changes.py"],
    "websockets": ["websocket/mask.py"],
    "yaml": ["observe/log_config.py"],
    "zstandard": ["compress/encoders.py"],
}
"""The only modules that import a library; a second one needs a reason."""


def room_of(imported: str) -> str:
    """The room of the package that a full module name lies in."""
    return imported.split(".")[1] if "." in imported else "__init__"


def is_ours(imported: str) -> bool:
    return imported.partition(".")[0] == PACKAGE


def may_import(module: Module, room: str) -> bool:
    """Whether ``module`` may import from ``room``."""
    if room == module.room:
        return True
    above, below = FLOORS[module.room], FLOORS[room]
    # errors and asgi_types are single modules that import nothing of ours: a foundation.
    return below < above or above == below == TOP or room in ("errors", "asgi_types")


def test_every_room_has_a_floor_and_every_floor_is_lived_in() -> None:
    assert {module.room for module in MODULES} == set(FLOORS)


def test_modules_import_from_lower_floors_and_their_own_room_only() -> None:
    assert [
        f"{module.name}:{line}: {imported}"
        for module in MODULES
        for line, imported in module.imports
        if is_ours(imported) and not may_import(module, room_of(imported))
    ] == []


@pytest.mark.parametrize("name", ["errors.py", "asgi_types.py"])
def test_what_everybody_may_import_imports_nothing_of_ours(name: str) -> None:
    (module,) = [module for module in MODULES if module.name == name]
    assert not [imported for _, imported in module.imports if is_ours(imported)]


def test_a_library_is_imported_by_its_door_only() -> None:
    doors: dict[str, set[str]] = {}
    for module in MODULES:
        for _, imported in module.imports:
            library = imported.partition(".")[0]
            if library != PACKAGE and library not in sys.stdlib_module_names:
                doors.setdefault(library, set()).add(module.name)
    assert {library: sorted(names) for library, names in doors.items()} == DOORS


def test_tls_is_the_business_of_its_own_modules() -> None:
    assert [
        module.name
        for module in MODULES
        if any(imported.partition(".")[0] == "ssl" for _, imported in module.imports)
    ] == ["net/tls.py", "net/tls_details.py", "net/tls_listener.py"]


def test_the_command_line_knows_versions_without_importing_libraries() -> None:
    (module,) = [module for module in MODULES if module.name == "cli.py"]
    libraries = {imported.partition(".")[0] for _, imported in module.imports}
    assert libraries - sys.stdlib_module_names == {PACKAGE, "click"}


def test_what_is_for_tests_is_imported_by_the_fixture_only() -> None:
    importers = {
        module.name
        for module in MODULES
        if module.room != "testing"
        if any(
            is_ours(imported) and room_of(imported) == "testing" for _, imported in module.imports
        )
    }
    assert importers == {"pytest_plugin.py"}


def test_a_supervisor_never_imports_what_serves() -> None:
    for module in MODULES:
        if module.room == "supervisor":
            rooms = {room_of(imported) for _, imported in module.imports if is_ours(imported)}
            assert not rooms & {"asgi", "http1", "websocket", "routes"}, module.name
