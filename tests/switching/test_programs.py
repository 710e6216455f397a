"""Programs written for uvicorn run with one import exchanged (E4, E5, G10)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest
from programs import APP, ENDING, SERVING, program

import katana_asgi
from katana_asgi import uvicorn
from katana_asgi.errors import ConfigurationError
from tests.ports import free_port
from tests.support import ROOT, TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["import katana_asgi as uvicorn", "import katana_asgi.uvicorn as uvicorn"]


def environment(port: int) -> dict[str, str]:
    ours = {"PORT": str(port), "PYTHONPATH": str(ROOT), "KATANA_LOG_FORMAT": "text"}
    # Code that changes within a second, and not in size, is taken for what was compiled.
    return {**os.environ, **ours, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def get(port: int, path: str = "/") -> str:
    """Ask until the server is there."""
    deadline = time.monotonic() + 3 * TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
                answer: str = response.read().decode()
                return answer
        except (URLError, ConnectionError, RemoteDisconnected):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", SERVING)
def test_a_program_serves_and_stops(name: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(program(name, line))
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env=environment(port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert get(port) == "ok"
            assert get(port, "/hidden") == "ok"
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=3 * TIMEOUT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in err, err
    assert "shut down" in out
    if name in ("logging", "changed_logging"):
        assert re.search(r"^\d{4}-\d\d-\d\d .*GET / HTTP/1\.1", out, re.MULTILINE)
        assert ("/hidden" in out) is (name != "logging")


LIBRARY = 'WORD = "one"\n'

RELOADING = """
import os
import sys
import library

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{library.WORD} {sys.argv[1:]}".encode()})

if __name__ == "__main__":
    uvicorn.run("main:app", port=int(os.environ["PORT"]), reload=True, reload_delay=0.1)
"""


@pytest.mark.parametrize("line", LINES)
def test_what_a_program_imports_is_reloaded_too(line: str, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text(f"{line}\n{RELOADING}")
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "main.py", "word"],
        cwd=tmp_path,
        env=environment(port),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert get(port) == "one ['word']"
            (tmp_path / "library.py").write_text(LIBRARY.replace("one", "two"))
            deadline = time.monotonic() + 3 * TIMEOUT
            while get(port) != "two ['word']":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(3 * TIMEOUT) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", ENDING)
def test_a_program_that_ends_its_own_server_ends(name: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(program(name, line))
    ended = subprocess.run(
        [sys.executable, "-W", "error", "main.py"],
        cwd=tmp_path,
        env=environment(free_port()),
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
    )
    assert ended.returncode == 0, ended.stderr
    assert "ok" in ended.stdout.split()
    assert "shut down" in ended.stdout
    if name == "server_task":
        assert "mine Listening on" in ended.stderr


# -- run() in a running loop


def test_run_in_a_running_loop_says_what_to_use() -> None:
    async def main() -> None:
        for run in (katana_asgi.run, uvicorn.run):
            with pytest.raises(RuntimeError, match=r"await katana_asgi\.serve"):
                run("main:app", port=0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())


@pytest.mark.parametrize("line", LINES)
def test_a_missing_guard_is_named(line: str, tmp_path: Path) -> None:
    text = f"{line}\n{APP}\nuvicorn.run('main:app', port=0, workers=2)\n"
    (tmp_path / "main.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "main.py"],
        cwd=tmp_path,
        env=environment(0),
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
    )
    assert ended.returncode == 1
    assert (
        "RuntimeError: run() was called while main was imported; put the call below "
        "if __name__ == '__main__':"
    ) in ended.stderr


# -- the server of katana_asgi.uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not server.started:
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def test_a_server_tells_its_address_and_stops_when_told() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off"))
    task = asyncio.create_task(server.serve())
    await until_started(server)
    port = server.servers[0].sockets[0].getsockname()[1]
    assert await asyncio.to_thread(get, port) == "ok"
    assert server.server_state.total_requests == 1
    server.should_exit = True
    await task
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port)).close()


async def test_startup_may_be_overridden_and_the_application_is_known() -> None:
    class Server(uvicorn.Server):
        seen = ""

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            self.seen = f"{self.started} {self.config.loaded_app is app}"

    server = Server(uvicorn.Config(app, port=0, lifespan="off"))
    task = asyncio.create_task(server.serve())
    await until_started(server)
    server.should_exit = True
    await task
    assert server.seen == "True True"


async def test_a_program_may_call_the_steps_itself() -> None:
    config = uvicorn.Config(app, port=0, lifespan="off", headers=[("X-A", "b")])
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    assert await asyncio.to_thread(get, port) == "ok"
    server.should_exit = True
    await server.main_loop()
    await server.shutdown()
    assert not server.lifespan.should_exit
    assert config.encoded_headers == [(b"x-a", b"b")]
    assert server.server_state.default_headers == []


async def test_on_tick_may_be_overridden() -> None:
    class Server(uvicorn.Server):
        async def on_tick(self, counter: int) -> bool:
            await super().on_tick(counter)
            return counter == 1

    await asyncio.wait_for(Server(uvicorn.Config(app, port=0, lifespan="off")).serve(), TIMEOUT)


def test_a_server_in_a_thread_is_stopped_from_another() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + TIMEOUT
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    server.should_exit = True
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_a_startup_that_fails_ends_like_uvicorns() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    server = uvicorn.Server(uvicorn.Config(failing, port=0))
    server.run()
    assert not server.started
    with pytest.raises(SystemExit) as caught:
        uvicorn.run(failing, port=0)
    assert caught.value.code == 3
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = uvicorn.Config(app, port=taken.getsockname()[1], lifespan="off")
        with pytest.raises(SystemExit) as caught:
            uvicorn.Server(config).run()
    assert caught.value.code == 1


async def test_requests_may_be_limited() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", limit_max_requests=1))
    task = asyncio.create_task(server.serve())
    await until_started(server)
    port = server.servers[0].sockets[0].getsockname()[1]
    await asyncio.to_thread(get, port)
    await asyncio.wait_for(task, TIMEOUT)
    assert server.should_exit


# -- the configuration of katana_asgi.uvicorn


def test_attributes_have_uvicorns_values_and_ours_apply_where_nothing_was_given() -> None:
    config = uvicorn.Config("main:app")
    assert (config.timeout_keep_alive, config.workers, config.log_level) == (5, 1, None)
    assert config.settings().timeout_keep_alive == 75
    config.timeout_keep_alive = 6
    config.port = 9000
    assert config.settings().timeout_keep_alive == 6
    assert config.settings().port == 9000
    assert uvicorn.Config("main:app", timeout_keep_alive=5).settings().timeout_keep_alive == 5
    assert uvicorn.Config("main:app", "0.0.0.0", 80).settings().host == "0.0.0.0"


def test_a_configuration_may_be_subclassed_with_attributes_of_its_own() -> None:
    class Config(uvicorn.Config):
        secret: str | None = None

    config = Config("main:app", reload=True, reload_includes=["*.py"], ws="wsproto")
    config.secret = "s"
    assert config.should_reload
    assert config.use_subprocess
    assert not config.is_ssl


def test_unknown_keywords_and_bad_values_are_refused() -> None:
    with pytest.raises(TypeError, match="wrokers"):
        uvicorn.Config("main:app", wrokers=2)
    with pytest.raises(ConfigurationError, match="port"):
        uvicorn.Config("main:app", port="many")


def test_a_socket_may_be_bound_first() -> None:
    with uvicorn.Config(app, port=0).bind_socket() as sock:
        assert sock.getsockname()[1] > 0
        assert sock.get_inheritable()


def test_workers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert uvicorn.Config("main:app").workers == 3
    assert uvicorn.Config("main:app", workers=1).settings().workers == 1


def test_an_application_that_cannot_be_imported_ends_the_process(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        uvicorn.Config("no_such_module:app").load()
    assert caught.value.code == 1
    assert APP
