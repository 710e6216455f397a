"""The image of examples/deployment: its command is process 1, as it is in a container."""

from __future__ import annotations

import re
import signal
import time

import pytest
from balanced import EXAMPLES
from container import Container, instructions, said, words

from katana_asgi.config.sources import load
from katana_asgi.worker.drain import UNWIND
from tests.patience import PATIENCE
from tests.support import TIMEOUT, ServerProcess

DOCKERFILE = instructions(EXAMPLES / "Dockerfile")
COMMAND = words(DOCKERFILE["CMD"])
HEALTHCHECK = words(DOCKERFILE["HEALTHCHECK"])
STOP = getattr(signal, DOCKERFILE["STOPSIGNAL"])
GRACE = 10  # seconds between the signal and the kill of docker stop

QUICK = {"5s": "500ms", "2s": "500ms"}
"""Shorter budgets, for a test that waits until they are over."""

MAIN = """
import os, subprocess, sys, time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        app.state = scope["state"]
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = str(os.getpid())
    if scope["path"] == "/until-the-end":
        print("begun", file=sys.stderr, flush=True)
        await scope["state"]["katana.shutdown"].wait()
    elif scope["path"] == "/orphan":
        command = ["sh", "-c", "sleep 0 & echo $!"]
        body = subprocess.run(command, capture_output=True, text=True).stdout
    elif scope["path"] == "/block":
        print("begun", file=sys.stderr, flush=True)
        time.sleep(3600)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


@pytest.fixture
def config(place):
    """The settings of the image's command."""
    with ServerProcess(*COMMAND[1:], "--print-config", cwd=place, port=False) as process:
        assert process.finish() == 0
    (place / "printed.toml").write_text(process.stdout)
    return load({}, str(place / "printed.toml")).config


def test_what_the_image_says_fits_together(config):
    assert config.host in ("", "::", "0.0.0.0")
    assert DOCKERFILE["EXPOSE"] == str(config.port)
    found = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", HEALTHCHECK[-1])
    assert found is not None
    assert int(found[1]) == config.port
    assert found[2] in [route.path for route in config.static_route]
    budgets = config.shutdown_delay + config.timeout_graceful_shutdown + UNWIND
    assert budgets + config.timeout_lifespan_shutdown < GRACE


def test_process_1_serves_the_exposed_port_and_ends_on_the_stop_signal(place):
    url = f"http://127.0.0.1:{DOCKERFILE['EXPOSE']}"
    with Container(place, COMMAND) as container:
        container.wait_listening()
        said(container.run(HEALTHCHECK))
        assert said(container.get(url)) == "1"
        running = container.get(f"{url}/until-the-end")
        container.wait_for("begun")
        container.first.send_signal(STOP)
        assert said(running) == "1"
        assert container.process.wait(GRACE * PATIENCE) == 0
        container.finish()


def test_process_1_ends_while_its_event_loop_is_blocked(place):
    command = [QUICK.get(word, word) for word in COMMAND]
    with Container(place, command) as container:
        container.wait_listening()
        blocked = container.get(f"http://127.0.0.1:{DOCKERFILE['EXPOSE']}/block")
        container.wait_for("begun")
        container.first.send_signal(STOP)
        assert container.process.wait(GRACE * PATIENCE) == 128 + STOP
        container.finish()
        blocked.communicate(timeout=TIMEOUT)
    assert "The event loop is blocked" in container.stderr


def exists(container: Container, path: str) -> bool:
    """Whether it is there for the processes in it."""
    with container.run(["test", "-e", path]) as test:
        return test.wait(TIMEOUT) == 0


def test_a_supervisor_as_process_1_waits_for_processes_that_have_lost_their_parent(place):
    url = f"http://127.0.0.1:{DOCKERFILE['EXPOSE']}"
    with Container(place, COMMAND, WEB_CONCURRENCY="2") as container:
        container.wait_listening()
        worker = int(said(container.get(url)))
        assert worker != 1
        orphan = said(container.get(f"{url}/orphan"))
        deadline = time.monotonic() + TIMEOUT
        while exists(container, f"/proc/{orphan}"):
            assert time.monotonic() < deadline, "still a zombie"
        said(container.run(["kill", "-KILL", str(worker)]))
        container.wait_for(r"Worker \d \[\d+\] died \(SIGKILL\)")  # its status is not lost
        container.wait_for("is ready after")
        container.first.send_signal(STOP)
        assert container.process.wait(GRACE * PATIENCE) == 0
        container.finish()
