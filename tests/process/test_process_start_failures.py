"""A server process that cannot start: its exit status, and what it says."""

from __future__ import annotations

import socket

import pytest

from tests.support import ServerProcess

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


def run(place, *arguments: str, workers: str = "1", **options) -> ServerProcess:
    """A server that has ended by itself; its status is ``process.returncode``."""
    with ServerProcess(*arguments, "--workers", workers, cwd=place, **options) as server:
        server.finish()
    assert server.stdout == ""
    return server


@WORKERS
def test_an_error_of_the_application_is_shown_with_its_own_traceback(module, workers):
    place = module("def broken():\n    return 1 / 0\n\nbroken()\n")
    server = run(place, "main:app", workers=workers)
    assert server.process.returncode == 1
    assert "module 'main' could not be imported" in server.stderr
    assert f'File "{place}/main.py", line 2, in broken' in server.stderr
    assert "ZeroDivisionError: division by zero" in server.stderr
    assert "katana_asgi/" not in server.stderr
    assert "importlib" not in server.stderr


@WORKERS
def test_a_missing_dependency_is_an_error_of_the_application(module, workers):
    server = run(module("import absent_dependency\n"), "main:app", workers=workers)
    assert server.process.returncode == 1
    assert "line 1, in <module>" in server.stderr
    assert "No module named 'absent_dependency'" in server.stderr


def test_a_syntax_error_shows_the_line(module):
    server = run(module("def app(:\n"), "main:app")
    assert server.process.returncode == 1
    assert "SyntaxError" in server.stderr
    assert 'main.py", line 1' in server.stderr


@WORKERS
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent:app", "could not import module 'absent'"),
        ("main:absent", "attribute 'absent' not found in 'main'"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(place, name, message, workers):
    server = run(place, name, workers=workers)
    assert server.process.returncode == 1
    assert message in server.stderr
    assert "Traceback" not in server.stderr


def test_an_error_of_a_factory_is_shown_with_its_own_traceback(place):
    server = run(place, "main:fail_to_make", "--factory")
    assert server.process.returncode == 1
    assert "in fail_to_make" in server.stderr
    assert "LookupError: in the factory" in server.stderr
    assert "katana_asgi/" not in server.stderr


@WORKERS
def test_a_failed_startup_has_its_message_and_status_3(place, workers):
    server = run(place, "main:failed", workers=workers)
    assert server.process.returncode == 3
    assert "no database" in server.stderr
    assert "Traceback" not in server.stderr
    assert "Listening" not in server.stderr


def test_with_lifespan_on_an_application_without_it_has_status_3(place):
    server = run(place, "main:no_lifespan", "--lifespan", "on")
    assert server.process.returncode == 3
    assert "NotImplementedError: only http" in server.stderr
    assert "Listening" not in server.stderr


@WORKERS
def test_an_address_in_use_is_one_line(place, workers):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = run(place, "main:app", "--port", str(port), workers=workers, port=False)
    assert server.process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: the address is in use" in server.stderr
    assert "Traceback" not in server.stderr
