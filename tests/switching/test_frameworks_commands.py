"""Commands of frameworks that serve with katana-asgi: Django's and Litestar's."""

from __future__ import annotations

import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.support import TIMEOUT, ServerProcess, unverified

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
DEBUG = {debug}
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
STATIC_URL = "/static/"
STATICFILES_DIRS = ["assets"]
INSTALLED_APPS = ["django.contrib.staticfiles", "katana_asgi.django"]
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("home"))]
"""

ASGI = """
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_asgi_application()
"""

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

LITESTAR = """
from litestar import Litestar, get
from katana_asgi import StaticRoute
from katana_asgi.litestar import KatanaPlugin

@get("/")
async def home() -> str:
    return "home"

app = Litestar([home], plugins=[KatanaPlugin(static_route=[StaticRoute("/healthz", "ok")])])
"""


def get(url: str, path: str = "/") -> str:
    context = unverified()
    with urllib.request.urlopen(url.rstrip("/") + path, context=context) as response:
        assert response.headers["server"] == "katana-asgi"
        text: str = response.read().decode()
        return text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    pytest.importorskip("django")
    (tmp_path / "mysite").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "own.css").write_text("own")
    (tmp_path / "manage.py").write_text(MANAGE)
    for name, text in (("settings", SETTINGS.format(debug=True)), ("urls", URLS), ("asgi", ASGI)):
        (tmp_path / "mysite" / f"{name}.py").write_text(text)
    return tmp_path


def manage(place: Path, *arguments: str) -> ServerProcess:
    command = (sys.executable, "manage.py", "runkatana")
    return ServerProcess(*arguments, cwd=place, command=command, port=False)


def test_django_serves_with_its_static_files_in_development(project: Path) -> None:
    with manage(project, "127.0.0.1:0", "--no-access-log", "--no-color") as server:
        url = server.wait_listening()
        assert get(url) == "home"
        assert get(url, "/static/own.css") == "own"
        assert server.stop() == 0


def test_djangos_options_are_its_own_and_others_are_ours(project: Path) -> None:
    (project / "mysite" / "live.py").write_text(SETTINGS.format(debug=False))
    options = ("--settings", "mysite.live", "--port", "0", "--workers", "2")
    with manage(project, *options) as server:
        url = server.wait_for(r"Listening on (\S+) \(2 workers")[1]
        assert get(url) == "home"
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (["many"], 1, "CommandError: 'many' is not a port or ADDRESS:PORT"),
        (["--prot", "1"], 2, "No such option '--prot'. Did you mean '--port'?"),
    ],
)
def test_what_is_wrong_with_djangos_command_is_said(
    project: Path, arguments: list[str], status: int, answer: str
) -> None:
    with manage(project, *arguments) as server:
        server.wait_for(answer)
        assert server.finish() == status


def changed(url: str, path: Path, before: str, after: str) -> None:
    """Change a file, and ask until the answer is another."""
    assert get(url) == before
    path.write_text(path.read_text().replace(f'"{before}"', f'"{after}"'))
    deadline = time.monotonic() + 3 * TIMEOUT
    while get(url) != after:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_djangos_code_is_reloaded(project: Path) -> None:
    with manage(project, "0", "--reload", "--reload-delay", "0.1") as server:
        changed(server.wait_listening(), project / "mysite" / "urls.py", "home", "changed")
        assert server.stop() == 0


def test_litestars_code_is_reloaded(tmp_path: Path) -> None:
    with litestar(tmp_path, "--reload") as server:
        changed(server.wait_listening(), tmp_path / "main.py", "home", "changed")
        assert server.stop() == 0


def litestar(place: Path, *arguments: str) -> ServerProcess:
    pytest.importorskip("litestar")
    (place / "main.py").write_text(LITESTAR)
    command = (sys.executable, "-m", "litestar", "--app", "main:app", "run", "--port", "0")
    return ServerProcess(*arguments, cwd=place, command=command, port=False)


@pytest.mark.parametrize("arguments", [["--wc", "1"], ["--wc", "2"]], ids=" ".join)
def test_litestar_serves_with_our_settings_as_well(tmp_path: Path, arguments: list[str]) -> None:
    with litestar(tmp_path, *arguments) as server:
        url = server.wait_listening()
        assert get(url) == "home"
        assert get(url, "/healthz") == "ok"
        assert server.stop() == 0


def test_litestar_makes_its_certificate(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    files = ("--ssl-certfile", "c.pem", "--ssl-keyfile", "k.pem")
    with litestar(tmp_path, *files, "--create-self-signed-cert") as server:
        assert get(server.wait_listening()) == "home"
        assert server.stop() == 0
