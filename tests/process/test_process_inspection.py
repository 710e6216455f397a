"""Looking into running services: profiles, dumps, blocked loops, in real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import ROOT, TIMEOUT, ServerProcess

APPLICATION = """
import asyncio, os, pathlib, threading, time

def hot_function():
    deadline = time.monotonic() + 0.02
    while time.monotonic() < deadline:
        sum(range(1000))

def work():
    while True:
        hot_function()

def wait_for_release():
    while not pathlib.Path("release").exists():
        time.sleep(0.01)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("HOT"):
            threading.Thread(target=work, name="hot; thread", daemon=True).start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"].startswith("/block"):
        wait_for_release()
    if scope["path"] == "/hang":
        async def hang_here():
            await asyncio.Event().wait()
        scope["state"]["task"] = asyncio.ensure_future(hang_here())
        await asyncio.sleep(0)
        app.task = scope["state"]["task"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APPLICATION)
    return tmp_path


@contextmanager
def service(place: Path, *arguments: str, **env: str) -> Iterator[tuple[ServerProcess, str]]:
    control = ("--control-dir", str(place / "c"))
    with ServerProcess("main:app", *control, *arguments, cwd=place, env=env) as server:
        url = server.wait_listening()
        for _ in range(1, int(env.get("WORKERS", "1"))):
            server.wait_for("is ready after")
        yield server, url


def command(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "katana_asgi", *words, "--control-dir", str(place / "c")],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
    )


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2 * TIMEOUT) as response:
        return response.read()  # type: ignore[no-any-return]


def test_a_flame_graph_of_two_workers_names_the_hot_function(place: Path) -> None:
    with service(place, "--workers", "2", HOT="1", WORKERS="2") as (server, _):
        pid = str(server.process.pid)
        result = command(place, "profile", "--pid", pid, "--seconds", "1", "-o", "flame.svg")
        assert result.returncode == 0, result.stderr
        assert "2 workers" in result.stdout
        root = ElementTree.parse(place / "flame.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        titles = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}title")]
        assert sum(title.startswith("hot_function (") for title in titles) == 2
        assert sum(title.startswith("worker ") for title in titles) == 2
        assert server.stop() == 0


@pytest.mark.skipif(shutil.which("py-spy") is None, reason="py-spy is not installed")
def test_a_blocked_worker_is_profiled_by_py_spy(place: Path) -> None:
    with service(place) as (_, url), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, url + "/block")
        try:
            result = command(place, "profile", "--seconds", "1", "-o", "stacks.txt")
        finally:
            (place / "release").touch()
        assert answer.result() == b"done"
        if result.returncode:
            pytest.skip(f"not permitted here: {result.stderr}")
        for line in (place / "stacks.txt").read_text().splitlines():
            assert re.fullmatch(r"worker \d+;.+ \d+", line)


def test_collapsed_stacks_of_one_worker(place: Path) -> None:
    with service(place, HOT="1"):
        result = command(place, "profile", "--seconds", "0.5", "-o", "stacks.txt")
        assert result.returncode == 0, result.stderr
        lines = (place / "stacks.txt").read_text().splitlines()
        assert all(re.fullmatch(r"worker \d+;.+ \d+", line) for line in lines)
        assert any("hot, thread" in line and "hot_function" in line for line in lines)


def test_a_dump_shows_threads_and_tasks(place: Path) -> None:
    with service(place) as (_, url):
        assert get(url + "/hang") == b"done"
        result = command(place, "dump")
        assert result.returncode == 0, result.stderr
        assert "Thread MainThread" in result.stdout
        assert "hang_here" in result.stdout


def test_a_signal_writes_the_stacks_of_a_blocked_loop(place: Path) -> None:
    with service(place) as (server, url), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, url + "/block")
        try:
            for _ in range(100):  # the request may not have arrived yet
                server.signal(signal.SIGURG)
                server.wait_for(r"Current thread|most recent call first")
                server.wait_for(r"^\d+ tasks$")
                if "in wait_for_release" in server.stderr:
                    break
        finally:
            (place / "release").touch()
        assert answer.result() == b"done"
        assert "in wait_for_release" in server.stderr
        assert server.stop() == 0


def test_a_blocked_loop_is_logged_once_with_its_stack_and_the_request_escaped(
    place: Path,
) -> None:
    with service(place, "--slow-request", "0.2") as (server, url), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, url + "/block%0A?x=%1b'")
        try:
            server.wait_for("The event loop is blocked for more than 0.2 s:")
            server.wait_for("wait_for_release")
            result = command(place, "dump")
            assert "its event loop is blocked" in result.stdout.lower()
            server.wait_for("Thread 0x|Current thread")
        finally:
            (place / "release").touch()
        assert answer.result() == b"done"
        server.wait_for(r"The event loop was blocked for \d")
        assert server.stderr.count("is blocked for more than") == 1
        assert re.search(r"Slow request: GET /block%0A\?x=%1b'? took \d+\.\d{3} s", server.stderr)
        assert server.stop() == 0


def test_control_sockets_are_private_and_go_with_their_worker(place: Path) -> None:
    with service(place, "--workers", "2", WORKERS="2") as (server, _):
        assert (place / "c").stat().st_mode & 0o777 == 0o700
        names = sorted(path.name for path in (place / "c").iterdir())
        assert len(names) == 2
        assert all(name.startswith(f"{server.process.pid}-") for name in names)
        assert server.stop() == 0
    assert list((place / "c").iterdir()) == []


def test_a_directory_that_others_may_enter_is_not_used(place: Path) -> None:
    (place / "c").mkdir(mode=0o755)
    (place / "c").chmod(0o755)
    with service(place) as (server, url):
        assert "not a directory of this user alone" in server.stderr
        assert get(url) == b"done"
        assert "not a directory of one user alone" in command(place, "dump").stderr


def test_no_socket_and_no_service_where_it_is_off(place: Path) -> None:
    with ServerProcess("main:app", "--control-dir", "off", cwd=place) as server:
        server.wait_listening()
        result = command(place, "dump", "--pid", str(server.process.pid))
        assert result.returncode == 1
        assert "no control socket of process" in result.stderr


def test_what_a_killed_worker_left_behind_is_not_taken_for_a_worker(place: Path) -> None:
    with service(place) as (server, _):
        server.signal(signal.SIGKILL)
        server.finish()
    assert len(list((place / "c").iterdir())) == 1
    assert "no control socket" in command(place, "dump").stderr
    assert list((place / "c").iterdir()) == []


def test_a_profile_that_nobody_could_read_is_refused_before_it_is_taken(place: Path) -> None:
    result = command(place, "profile", "-o", "flame.png")
    assert result.returncode == 2
    assert ".svg or .txt" in result.stderr
