"""Logs of real processes: nothing is lost over a rotation or a stop, nothing stops the server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from talk import ask

from tests.support import TIMEOUT, ServerProcess

QUICK = ("--lifespan", "off", "--log-level", "info")


def request(url: str, targets: list[str]) -> None:
    """Get each target on one connection."""
    address = urlsplit(url)
    with closing(HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT)) as http:
        for target in targets:
            http.request("GET", target)
            http.getresponse().read()


def wait_until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def logged(*paths) -> list[str]:
    return [line for path in paths if path.exists() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_line_is_lost_over_a_rotation_and_a_stop(place, tmp_path, workers):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    arguments = ("--access-log-file", str(log), "--access-log-format", "%(p)s %(U)s")
    count = 600
    with ServerProcess("main:app", *QUICK, "--workers", workers, *arguments, cwd=place) as server:
        url = server.wait_listening()
        thread = threading.Thread(
            target=lambda: [request(url, [f"/pid?{n}"] * 20) for n in range(count // 20)]
        )
        thread.start()
        wait_until(lambda: len(logged(log)) > 20)
        log.rename(old)
        server.signal(signal.SIGUSR1)
        wait_until(log.exists)
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        request(url, ["/pid"] * 40)
        wait_until(lambda: log.stat().st_size > 0)
        assert server.stop() == 0
    lines = logged(old, log)
    assert len(lines) == count + 40
    assert all(line.endswith(" /pid") for line in lines)


def test_the_signal_reaches_every_worker(place, tmp_path):
    log = tmp_path / "access.log"
    arguments = ("--workers", "2", "--access-log-file", str(log), "--access-log-format", "%(p)s")
    with ServerProcess("main:app", *QUICK, *arguments, cwd=place) as server:
        url = server.wait_listening()
        pids: set[bytes] = set()
        wait_until(lambda: pids.add(ask(url)) or len(pids) == 2)
        log.rename(tmp_path / "old")
        server.signal(signal.SIGUSR1, group=True)  # some rotators signal every process
        server.wait_for("log files reopened")
        wait_until(log.exists)
        wait_until(lambda: ask(url) and len(set(logged(log))) == 2)
        assert server.stop() == 0


def test_the_signal_in_the_middle_of_an_import_ends_nothing(tmp_path):
    (tmp_path / "main.py").write_text(
        "import os, sys, time\n"
        "print('importing', file=sys.stderr, flush=True)\n"
        "while not os.path.exists('go'):\n"
        "    time.sleep(0.01)\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    for workers in ("1", "2"):
        log = str(tmp_path / "a.log")
        arguments = (*QUICK, "--workers", workers, "--access-log-file", log)
        with ServerProcess("main:app", *arguments, cwd=tmp_path) as server:
            server.wait_for("importing")
            server.signal(signal.SIGUSR1, group=True)
            (tmp_path / "go").touch()
            assert ask(server.wait_listening(), "/") == b"ok"
            assert server.stop() == 0
        (tmp_path / "go").unlink()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_request_has_its_line_when_the_server_has_stopped(place, workers):
    with ServerProcess("main:app", *QUICK, "--workers", workers, cwd=place) as server:
        url = server.wait_listening()
        request(url, ["/pid"] * 700)
        assert server.stop() == 0
        assert server.stdout.count('"GET /pid HTTP/1.1" 200 OK\n') == 700


def test_a_full_disk_does_not_stop_the_server(place):
    arguments = ("--access-log-file", "/dev/full")
    with ServerProcess("main:app", *QUICK, *arguments, cwd=place) as server:
        url = server.wait_listening()
        request(url, ["/pid"] * 5)
        server.wait_for("katana_asgi.access cannot be written")
        request(url, ["/pid"] * 5)
        assert server.stop() == 0


def test_a_pipe_that_nobody_reads_does_not_stop_the_server(place, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        arguments = ("--access-log-file", str(fifo), "--access-log-format", "%(U)s" + "x" * 1000)
        with ServerProcess("main:app", *QUICK, *arguments, cwd=place) as server:
            url = server.wait_listening()
            for _ in range(10):
                request(url, ["/pid"] * 300)  # 3 MB, of which a pipe takes 64 KiB
            assert server.stop() == 0
    finally:
        os.close(reader)


def test_a_pipe_whose_reader_has_gone_does_not_stop_the_server(place, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    arguments = ("--access-log-file", str(fifo))
    with ServerProcess("main:app", *QUICK, *arguments, cwd=place) as server:
        url = server.wait_listening()
        os.close(reader)
        request(url, ["/pid"] * 3)
        server.wait_for("katana_asgi.access cannot be written: .*Broken pipe")
        request(url, ["/pid"] * 3)
        assert server.stop() == 0


def test_json_everywhere_is_one_object_a_line(place):
    with ServerProcess(
        "main:app", *QUICK, "--log-format", "json", "--request-id", "generate", cwd=place
    ) as server:
        url = server.wait_for(r"Listening on (http://[^ ]+)")[1]
        request(url, ["/pid", "/pid"])
        assert server.stop() == 0
        entries = [json.loads(line) for line in server.stdout.splitlines()]
        assert [entry["target"] for entry in entries] == ["/pid", "/pid"]
        assert len({entry["request_id"] for entry in entries}) == 2
        said = [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]
        assert any("Listening" in entry["message"] for entry in said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--access-log-format", "%(nope)s"), "nope"),
        (("--access-log-file", "/nowhere/at/all"), "No such file"),
        (("--access-log-file", "syslog:/nowhere"), "syslog:/nowhere"),
        (("--access-log-sample", "2"), "0 to 1"),
        (("--log-config", "nothing.json"), "nothing.json"),
        (("--request-id", "maybe"), "generate"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_wrong_settings_end_with_status_2(place, arguments, said, workers):
    with ServerProcess("main:app", *arguments, "--workers", workers, cwd=place) as server:
        assert server.finish() == 2
        assert said in server.stderr
        assert "Traceback" not in server.stderr
