"""gunicorn's worker class and the fixture for pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from katana_asgi.errors import StartupError
from katana_asgi.testing import ServerThread
from tests.support import ROOT, TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest_plugins = ["pytester"]

ASGI = """
import os, sys
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("begun", file=sys.stderr, flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def get(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        assert response.headers["server"] == "katana-asgi"
        text: str = response.read().decode()
        return text


# -- gunicorn


def gunicorn(place: Path, *arguments: str) -> ServerProcess:
    pytest.importorskip("gunicorn")
    (place / "main.py").write_text(ASGI)
    worker = "katana_asgi.gunicorn.KatanaWorker"
    command = (sys.executable, "-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "main:app")
    return ServerProcess(*arguments, cwd=place, command=command, port=False)


def test_gunicorn_runs_our_worker_and_logs_our_lines(tmp_path: Path) -> None:
    form = '%(h)s "%(r)s" %(s)s'
    arguments = ("--access-logfile", "-", "--access-logformat", form, "--no-control-socket")
    with gunicorn(tmp_path, "-w", "2", *arguments) as server:
        port = server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1]
        for _ in range(2):  # gunicorn forgets a signal to a worker that it has just forked
            server.wait_for("begun")
        assert get(f"http://127.0.0.1:{port}/").isdecimal()
        assert server.stop() == 0
    assert '127.0.0.1 "GET / HTTP/1.1" 200' in server.stdout


def test_gunicorn_replaces_a_worker_that_has_served_enough(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--max-requests", "1", "--no-control-socket") as server:
        port = server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1]
        first = get(f"http://127.0.0.1:{port}/")
        server.wait_for(rf"Booting worker with pid: (?!{first}\b)\d+")
        assert get(f"http://127.0.0.1:{port}/") != first
        assert server.stop() == 0


def test_gunicorn_ends_where_the_application_does_not_start(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "bad.py").write_text(ASGI.replace("startup.complete", "startup.failed"))
    worker = "katana_asgi.gunicorn.KatanaWorker"
    command = [sys.executable, "-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "bad:app"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*command, "--no-control-socket"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
    )
    assert ended.returncode == 3
    assert "startup" in ended.stderr


# -- pytest


async def app(scope, receive, send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_the_fixture_serves_on_a_free_port(katana_server: Callable[..., ServerThread]) -> None:
    one, two = katana_server(app), katana_server(app, root_path="/api")
    assert one.port != two.port
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", one.url)
    assert get(f"{one.url}/") == get(f"{two.url}/") == "ok"
    one.stop()
    with pytest.raises(OSError):
        get(f"{one.url}/")


def test_what_keeps_a_server_from_starting_is_raised() -> None:
    with pytest.raises(StartupError):
        ServerThread("no_such_module:app")


def test_the_plugin_is_found_by_its_entry_point(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import urllib.request

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        def test_it(katana_server):
            with urllib.request.urlopen(katana_server(app, lifespan="off").url) as response:
                assert response.read() == b"ok"
        """
    )
    found = [each.name for each in entry_points(group="pytest11")]
    plugin = () if "katana_asgi" in found else ("-p", "katana_asgi.pytest_plugin")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *plugin)
    result.assert_outcomes(passed=1)
