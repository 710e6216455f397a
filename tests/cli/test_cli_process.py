"""The command as a process: what it prints where, and what it exits with."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from katana_asgi.config.reference import settings_page
from tests.support import ROOT, TIMEOUT, ServerProcess

APPLICATION = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": os.environ["GREETING"].encode()})
"""


def command(
    place: Path, *arguments: str, module: str = "katana_asgi"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["main"],
        ["main:app", "--port", "many"],
        ["main:app", "--nonsense"],
        ["main:app", "--env-file", "missing"],
        ["main:app", "--static-route", "/{=x"],
    ],
)
def test_mistakes_end_with_status_2_and_one_line(place: Path, arguments: list[str]) -> None:
    ended = command(place, *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("katana-asgi: error: ")
    assert len(ended.stderr.splitlines()) == 1


def test_check_config_does_not_import_the_application(place: Path) -> None:
    (place / "main.py").write_text("raise SystemExit('imported')")
    ended = command(place, "main:app", "--check-config")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "configuration is valid\n", "")


def test_the_reference_page_is_written_to_standard_output(place: Path) -> None:
    ended = command(place, module="katana_asgi.config.reference")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, settings_page(), "")


def test_a_service_is_made_of_flags_environment_and_files(place: Path) -> None:
    (place / "main.py").write_text(APPLICATION)
    (place / ".env").write_text("GREETING=hello\n")
    (place / "pyproject.toml").write_text(
        "[tool.katana-asgi]\nenv-file = '.env'\n[tool.katana-asgi.static-routes]\n'/up' = 'yes'\n"
    )
    environment = {"KATANA_HEADER": "X-From: environment"}
    with ServerProcess("main:app", "--no-access-log", cwd=place, env=environment) as server:
        url = server.wait_listening()
        with urllib.request.urlopen(url) as response:
            assert response.read() == b"hello"
            assert response.headers["X-From"] == "environment"
        with urllib.request.urlopen(f"{url}/up") as response:
            assert response.read() == b"yes"
        assert server.stop() == 0
    assert server.stdout == ""


def test_the_status_of_the_service_is_the_status_of_the_command(place: Path) -> None:
    ended = command(place, "no_such_module:app", "--port", "0")
    assert ended.returncode == 1
    assert "no_such_module" in ended.stderr
