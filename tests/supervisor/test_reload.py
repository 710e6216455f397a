"""Reload: saved files reach clients, mistakes do not, and nobody's open stream holds it up."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import RemoteDisconnected
from pathlib import Path

import pytest

from katana_asgi.supervisor.reload import counts
from tests.support import ROOT, TIMEOUT, ServerProcess

APPLICATION = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] in ("http", "websocket")
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        while True:
            await receive()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    if scope["path"] == "/stream":
        while True:
            await send({{"type": "http.response.body", "body": b"x", "more_body": True}})
            await asyncio.sleep(0.05)
    await send({{"type": "http.response.body", "body": b"{answer}"}})
"""


def save(place: Path, answer: str) -> None:
    (place / "main.py").write_text(APPLICATION.format(answer=answer))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save(tmp_path, "one")
    return tmp_path


@pytest.fixture
def server(place: Path) -> Iterator[ServerProcess]:
    # Without compiled files: two versions of one size within a second would look the same.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    with ServerProcess("main:app", "--reload", cwd=place, env=env) as server:
        yield server
        assert server.stop() == 0


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return response.read().decode()  # type: ignore[no-any-return]


def get_until(url: str, answer: str) -> None:
    """Ask until the answer comes; no connection may be refused on the way.

    The old worker may close one in the moment its request arrives; browsers ask again then.
    """
    deadline = time.monotonic() + 2 * TIMEOUT
    latest = ""
    while latest != answer:
        assert time.monotonic() < deadline, answer
        with suppress(ConnectionResetError, RemoteDisconnected):
            latest = get(url)
        time.sleep(0.01)


def test_a_saved_file_is_served_and_no_connection_is_refused_meanwhile(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    assert get(url) == "one"
    for answer in ("three", "four", "seventeen"):
        save(place, answer)
        get_until(url, answer)
    assert "Reloading: main.py changed" in server.stderr


def test_an_import_error_is_shown_and_the_old_state_serves_until_it_is_mended(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    (place / "main.py").write_text("import nowhere_to_be_found\n")
    server.wait_for("nowhere_to_be_found")
    server.wait_for("the old one serves on until a file changes")
    assert get(url) == "one"
    save(place, "mended")
    get_until(url, "mended")


def test_an_open_stream_does_not_hold_it_up(server: ServerProcess, place: Path) -> None:
    url = server.wait_listening()
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as stream:
        stream.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.recv(1)
        save(place, "three")
        get_until(url, "three")
        while stream.recv(65536):  # the old worker ends although the client stays
            pass


def test_an_open_websocket_does_not_hold_it_up(server: ServerProcess, place: Path) -> None:
    url = server.wait_listening()
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as peer:
        peer.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert peer.recv(65536).startswith(b"HTTP/1.1 101 ")
        save(place, "three")
        get_until(url, "three")
        rest = b""
        while data := peer.recv(65536):  # never answered: the client does not say goodbye
            rest += data
        assert b"\x88" in rest
        assert (1012).to_bytes(2, "big") in rest


def test_a_first_start_that_fails_waits_for_its_correction(place: Path) -> None:
    (place / "main.py").write_text("this is no Python\n")
    with ServerProcess("main:app", "--reload", cwd=place) as server:
        server.wait_for("SyntaxError")
        server.wait_for("requests wait until a file changes")
        save(place, "mended")
        assert get(server.wait_listening()) == "mended"
        assert server.stop() == 0


def test_include_and_exclude() -> None:
    roots = [Path("/app")]
    exclude = (".*", "*_test.py", "generated")

    def is_counted(name: str) -> bool:
        return counts(Path(name), roots, ("*.py", "*.html"), exclude)

    assert is_counted("/app/main.py")
    assert is_counted("/app/deep/down/page.html")
    assert not is_counted("/app/main.txt")
    assert not is_counted("/app/.venv/lib/main.py")
    assert not is_counted("/app/generated/main.py")
    assert not is_counted("/app/main_test.py")
    assert not is_counted("/elsewhere/main.py")


def test_a_hidden_directory_above_the_root_does_not_matter() -> None:
    assert counts(
        Path("/home/.hidden/app/main.py"), [Path("/home/.hidden/app")], ("*.py",), (".*",)
    )


def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys; {code}\nfrom katana_asgi.cli import main; main({list(arguments)!r})"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )


def test_several_workers_are_refused() -> None:
    result = run("main:app", "--reload", "--workers", "2")
    assert result.returncode == 2
    assert "use 1 worker" in result.stderr


def test_a_missing_library_is_named_with_its_extra() -> None:
    result = run(
        "main:app",
        "--reload",
        "--port",
        "0",
        code="import importlib.util as u; "
        "f = u.find_spec; u.find_spec = lambda n: None if n == 'watchfiles' else f(n)",
    )
    assert result.returncode == 1
    assert "katana-asgi[reload]" in result.stderr
