"""Metrics of real processes: scraped with the real parsers, compared with what clients saw."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.testing import HttpPeer
from tests.support import ROOT, TIMEOUT, ServerProcess

prometheus = pytest.importorskip("prometheus_client.parser")
openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.timeout(12 * TIMEOUT),
]

APPLICATION = """
import asyncio, os, time

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    if scope["path"] == "/hang":
        await asyncio.sleep(3)
    if scope["path"] == "/fail":
        raise RuntimeError
    if scope["path"] == "/block":
        time.sleep(8)
    if scope["path"] == "/die":
        os.kill(os.getpid(), 9)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Admin:
    """A client of the admin listener."""

    def __init__(self, process: ServerProcess) -> None:
        host, port = process.wait_for(r"Admin listener on http://(\S+):(\d+)").groups()
        self.place = (host, int(port))
        self.address = f"{host}:{port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(*self.place, timeout=TIMEOUT)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheader("content-type", ""), response.read().decode()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/status.json")[2])
        return found

    def eventually(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 2 * TIMEOUT
        while True:
            status: dict[str, Any] = {}
            with suppress(OSError):
                status = self.status()
                if holds(status):
                    return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)


def serve(tmp_path: Path, *arguments: str) -> ServerProcess:
    (tmp_path / "measured.py").write_text(APPLICATION)
    arguments = ("measured:app", "--no-access-log", "--admin-bind", "127.0.0.1:0", *arguments)
    return ServerProcess(*arguments, cwd=tmp_path)


async def ask(url: str, paths: list[str]) -> list[float]:
    """Ask on a connection of its own; returns how long each took."""
    host, port = url.removeprefix("http://").split(":")
    seconds = []
    async with await HttpPeer.open(host, int(port)) as connection:
        for path in paths:
            began = time.perf_counter()
            await connection.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await connection.response()
            seconds.append(time.perf_counter() - began)
    return seconds


def samples(families: Any) -> dict[tuple[str, ...], float]:
    return {
        (each.name, *each.labels.values()): each.value
        for family in families
        for each in family.samples
    }


async def test_two_workers_are_counted_as_their_clients_saw_them(tmp_path: Path) -> None:
    arguments = ("--workers", "2", "--static-route", "/s=x", "--metrics-routes", "/slow,/a/*")
    with serve(tmp_path, *arguments) as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        paths = ["/", "/s", "/slow", "/a/b", "/?x=1"] * 2
        times = await asyncio.gather(*[ask(url, paths) for _ in range(8)])
        await ask(url, ["/fail"])
        status = admin.eventually(lambda status: sum(status["requests"].values()) == 65)
        assert status["requests"] == {"GET 200": 64, "GET 500": 1}
        assert status["counters"]["static"] == 16
        assert status["classes"] == {"2xx": 64, "5xx": 1}
        assert status["routes"]["/slow"]["count"] == 16
        assert status["routes"]["/a/*"]["count"] == 16
        slowest = max(second for each in times for second in each)
        assert 0.2 * 0.95 <= status["duration"]["p99"] <= slowest * 1.05
        assert status["duration"]["count"] == 65
        assert status["slowest"][0]["path"] == "/slow"
        assert len(status["workers"]) == 2

        _, kind, text = admin.get("/metrics")
        assert kind.startswith("text/plain")
        found = samples(prometheus.text_string_to_metric_families(text))
        assert found["katana_asgi_requests_total", "GET", "200"] == 64
        assert found["katana_asgi_static_responses_total",] == 16
        assert found["katana_asgi_request_duration_seconds_bucket", "+Inf"] == 65
        assert found["katana_asgi_request_duration_seconds_bucket", "0.125"] <= 49
        assert found["katana_asgi_route_duration_seconds_count", "/slow"] == 16
        _, kind, text = admin.get("/metrics", Accept=OPENMETRICS)
        assert kind.startswith("application/openmetrics-text")
        again = samples(openmetrics.text_string_to_metric_families(text))
        assert again["katana_asgi_requests_total", "GET", "200"] == 64
        assert process.stop() == 0


async def test_a_dead_worker_is_replaced_counted_and_its_sums_stay(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        await ask(url, ["/"] * 5)
        admin.eventually(lambda status: status["requests"] == {"GET 200": 5})
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):
            await ask(url, ["/die"])
        status = admin.eventually(lambda status: status["restarts"] == 1 and status["ready"])
        assert status["requests"] == {"GET 200": 5}
        assert process.stop() == 0


async def test_with_reload_the_sums_stay_when_the_worker_is_another(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    with serve(tmp_path, "--reload") as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        await ask(url, ["/"] * 5)
        before = admin.eventually(lambda status: status["requests"] == {"GET 200": 5})
        (tmp_path / "measured.py").write_text(APPLICATION.replace("hello", "hello again"))
        admin.eventually(
            lambda status: (
                [each["pid"] for each in status["workers"]]
                not in ([], [each["pid"] for each in before["workers"]])
            )
        )
        await ask(url, ["/"])
        after = admin.eventually(lambda status: status["requests"] == {"GET 200": 6})
        assert after["restarts"] == 0
        assert admin.get("/readyz")[0] == 200
        assert process.stop() == 0


async def test_the_admin_listener_answers_after_an_upgrade(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        process.signal(signal.SIGUSR2)
        new = int(process.wait_for(r"The new supervisor \[(\d+)\] is ready, stopping")[1])
        admin = Admin(process)  # on another port, because port 0 was asked for
        await ask(url, ["/"] * 3)
        admin.eventually(lambda status: status["ready"] and status["requests"] == {"GET 200": 3})
        os.kill(new, signal.SIGTERM)
        process.wait_for(rf"Stopped supervisor \[{new}\]")
        process.finish()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_readiness_is_red_while_the_service_drains(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        assert admin.get("/readyz")[0] == 200
        asking = asyncio.ensure_future(ask(url, ["/hang"]))
        running = lambda status: status["gauges"].get("concurrency") == 1  # noqa: E731
        await asyncio.to_thread(admin.eventually, running)
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(admin.eventually, lambda status: status["stopping"])
        assert (await asyncio.to_thread(admin.get, "/readyz"))[0] == 503
        assert (await asyncio.to_thread(admin.get, "/healthz"))[0] == 200
        await asking
        assert await asyncio.to_thread(process.finish) == 0


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "katana_asgi", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    )


def test_status_and_top_read_a_unix_socket_with_a_token(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    arguments = ("--admin-bind", f"unix:{path}", "--admin-token", "secret")
    with serve(tmp_path, *arguments) as process:
        process.wait_listening()
        assert path.stat().st_mode & 0o777 == 0o600
        where = ("--admin", f"unix:{path}")
        refused = command("status", *where)
        assert refused.returncode == 1
        assert "asks for its token" in refused.stderr
        shown = command("status", "--json", *where, KATANA_ADMIN_TOKEN="secret")
        assert json.loads(shown.stdout)["ready"] is True
        assert command("status", *where, "--token", "secret").stdout.startswith(
            "measured:app: ready, up "
        )
        pytest.importorskip("rich")
        assert "Workers" in command("top", *where, "--token", "secret").stdout
        assert process.stop() == 0
    assert not path.exists()
    assert command("status", *where).returncode == 1


def test_statsd_gets_what_was_counted(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(TIMEOUT)
        arguments = ("--statsd", f"127.0.0.1:{server.getsockname()[1]}")
        with serve(tmp_path, *arguments) as process:
            url = process.wait_listening()
            asyncio.run(ask(url, ["/"] * 3))
            text = ""
            while "requests.GET.200" not in text:
                text += server.recv(2000).decode()
            assert "katana_asgi.requests.GET.200:3|c" in text
            assert "katana_asgi.duration.p99:" in text
            assert process.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--admin-bind", "0.0.0.0:9100"], "set admin-token"),
        (["--admin-bind", "example.org:9100"], "set admin-token"),
        (["--admin-bind", "9100"], "use HOST:PORT"),
        (["--admin-bind", "127.0.0.1:99999"], "use HOST:PORT"),
        (["--metrics-routes", "api"], "start with a slash"),
        (["--metrics-routes", ",".join(f"/{n}" for n in range(17))], "16 at most"),
        (["--statsd", "nowhere"], "use HOST:PORT"),
        (["--admin-token", "a b"], "without spaces"),
    ],
)
def test_settings_that_cannot_be_used_end_with_status_2(arguments: list[str], said: str) -> None:
    ended = command("measured:app", *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "a b" not in ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_the_library_the_admin_listener_is_refused(tmp_path: Path, workers: str) -> None:
    blocker = "import sys; sys.modules['prometheus_client'] = None"
    (tmp_path / "sitecustomize.py").write_text(blocker)
    (tmp_path / "measured.py").write_text(APPLICATION)
    ended = command(
        *("measured:app", "--app-dir", str(tmp_path), "--port", "0", "--workers", workers),
        *("--admin-bind", "127.0.0.1:0"),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}",
    )
    assert ended.returncode == 2
    assert "katana-asgi[metrics]" in ended.stderr


async def test_readiness_is_red_while_every_worker_is_blocked(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as process:
        admin = Admin(process)
        url = process.wait_listening()
        admin.eventually(lambda status: bool(status["ready"]))
        host, port = url.removeprefix("http://").split(":")
        async with AsyncExitStack() as waiting:
            while len(blocked(process)) < 2:  # the kernel chooses the worker
                connection = await waiting.enter_async_context(await HttpPeer.open(host, int(port)))
                await connection.send(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.sleep(0.1)
            admin.eventually(lambda status: not status["ready"])
            assert admin.get("/readyz")[0] == 503
            process.signal(signal.SIGKILL, group=True)


def blocked(process: ServerProcess) -> set[int]:
    """The workers that sleep in the application: they are not in their selector."""
    found = set()
    for pid in map(int, re.findall(r"Started worker \d+ \[(\d+)\]", process.stderr)):
        with suppress(OSError), open(f"/proc/{pid}/wchan") as file:
            if "nanosleep" in file.read():
                found.add(pid)
    return found
