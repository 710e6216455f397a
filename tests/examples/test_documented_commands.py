"""Commands, files and programs in the README and the guides are right: each of them is tried.

A command that serves is checked with ``--check-config``, which does all but import and bind; of
one that looks into a running service the options are parsed. Settings files are read, programs
compiled, and those of the README's tour run.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from katana_asgi.cli import COMMANDS, command_named, main
from katana_asgi.config.sources import load
from tests.support import ROOT, TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [
    "README.md",
    "docs/troubleshooting.md",
    "docs/deployment/monitoring.md",
    "docs/files.md",
    "docs/cache.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs" / "guide").glob("*.md"))),
]

CERTIFICATES = ("cert.pem", "key.pem", "both.pem", "org.pem", "org.key", "net.pem", "net.key")
"""Files that the commands name; each is a certificate with its key."""


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Each command of ours, with the page it is on; lines that go on are joined."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"(?:[A-Z_]+=\S+ )*(?:python -m katana_asgi|katana-asgi) ", line):
                    yield page, " ".join(line.split())


def split(line: str) -> tuple[dict[str, str], list[str]]:
    """The variables before a command, and its arguments."""
    words = shlex.split(line, comments=True)
    variables = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return variables, words[3:] if words[0] == "python" else words[1:]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, bytes]:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    found = {}
    for name in CERTIFICATES:
        one = authority.issue_cert("localhost", "example.org", "*.example.net")
        found[name] = one.private_key_and_cert_chain_pem.bytes()
    for certificate, key in (
        ("cert.pem", "key.pem"),
        ("org.pem", "org.key"),
        ("net.pem", "net.key"),
    ):
        found[key] = found[certificate]
    return {**found, "clients-ca.pem": authority.cert_pem.bytes()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch, certificates: dict[str, bytes]) -> Path:
    """A directory with what the commands name, and no settings from elsewhere."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "robots.txt").write_text("User-agent: *\n")
    for name in ("src", "media", "dist/assets"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<!doctype html>\n")
    for name, content in certificates.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "main.py").write_text(blocks("README.md", "python")[0])
    (tmp_path / "katana.toml").write_text(blocks("README.md", "toml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_a_command_is_one(page: str, line: str, place: Path, monkeypatch, capsys) -> None:
    variables, words = split(line)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if words[0] in COMMANDS and words[0] != "serve":
        context = command_named(words[0]).make_context(words[0], words[1:])
        assert context.params
        return
    if "systemd" in words:
        monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(SystemExit) as ended:
        main([*words, "--check-config"])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (0, "configuration is valid\n"), printed.err
    assert "warning" not in printed.err or "certificate" in printed.err


def test_there_are_commands_on_most_pages() -> None:
    assert len(list(commands())) > 50
    assert len({page for page, _ in commands()}) > 14


@pytest.mark.parametrize("page", PAGES)
def test_settings_files_are_read(page: str, place: Path) -> None:
    for block in blocks(page, "toml"):
        settings = tomllib.loads(block)
        certificate = "" if "ssl-sni" not in settings else 'ssl-certfile = "both.pem"\n'
        (place / "shown.toml").write_text(certificate + block)
        assert load({"app": ("main:app",)}, "shown.toml").config.app == "main:app"


@pytest.mark.parametrize("page", PAGES)
def test_programs_are_python_and_import_what_there_is(page: str) -> None:
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        imports = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) and "katana_asgi" in ast.unparse(node)
        ]
        exec("\n".join(imports), {})
    for block in blocks(page, "json"):
        json.loads(block)


def test_the_answer_to_a_mistake_is_the_one_that_is_shown(place: Path, capsys) -> None:
    (shown,) = blocks("docs/guide/settings.md", "console")
    line, answer = shown.splitlines()
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line.removeprefix("$ katana-asgi ")))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{answer}\n"


async def test_the_first_application_of_get_started_is_served(tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    (tmp_path / "main.py").write_text(blocks("docs/guide/start.md", "python")[0])
    with ServerProcess("main:app", cwd=tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.wait_listening(), timeout=TIMEOUT) as http:
            assert (await http.get("/")).text == "hello\n"
        assert server.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the admin listener of the tour is a socket")
async def test_the_tour_of_the_readme_goes_as_it_says(place: Path) -> None:
    for module in ("fastapi", "prometheus_client", "rich"):
        pytest.importorskip(module)
    httpx = pytest.importorskip("httpx")
    application, program = blocks("README.md", "python")
    assert "app = FastAPI()" in application
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=place, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert ran.returncode == 0, ran.stderr
    assert re.match(r"serving on 127\.0\.0\.1:\d+ until this block ends\n", ran.stdout)

    (line,) = [line for _, line in commands() if "--admin-bind unix:admin.sock" in line]
    with ServerProcess(*split(line)[1], cwd=place) as server:
        async with httpx.AsyncClient(base_url=server.wait_listening(), timeout=TIMEOUT) as http:
            assert (await http.get("/")).json() == {"hello": "world"}
        inspect = [line for _, line in commands() if "unix:admin.sock" in line and "status" in line]
        command = [sys.executable, "-m", "katana_asgi", *split(inspect[0])[1]]
        status = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=TIMEOUT)
        assert status.returncode == 0, status.stderr
        assert "main:app" in status.stdout
        assert server.stop() == 0
