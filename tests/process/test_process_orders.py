"""Signals to a service of a single process, and what a stop that waits says."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from talk import HALF_A_POST, ask, begin, read_response

from tests.patience import PATIENCE
from tests.support import ROOT, TIMEOUT, ServerProcess

SUPERVISED_ONLY = ("SIGUSR2", "SIGTTIN", "SIGTTOU")


@pytest.mark.parametrize("name", SUPERVISED_ONLY)
def test_a_signal_that_needs_a_supervisor_says_so_and_does_nothing(place, name):
    with ServerProcess("main:app", cwd=place) as server:
        url = server.wait_listening()
        server.signal(signal.Signals[name])
        server.wait_for(rf"Received {name}: .* needs a supervisor \(--supervise or --workers 2\)")
        for _ in range(50):  # a background job gets them without end
            server.signal(signal.Signals[name])
        assert int(ask(url)) == server.process.pid
        assert server.stop() == 0
    assert server.stderr.count(f"Received {name}") < 10


def test_sighup_opens_log_files_again_and_keeps_serving(place):
    log = place / "access.log"
    with ServerProcess("main:app", "--access-log-file", str(log), cwd=place) as server:
        url = server.wait_listening()
        ask(url)
        while not log.stat().st_size:  # lines are written in batches
            time.sleep(0.02)
        log.rename(place / "access.log.1")
        server.signal(signal.SIGHUP)
        server.wait_for("Received SIGHUP: log files and certificates are read again; new code and")
        assert int(ask(url)) == server.process.pid
        assert server.stop() == 0
    assert log.read_text().count("GET /pid") == 1


def test_a_service_manager_that_reloads_is_told_when_it_is_over(place, tmp_path_factory):
    import socket

    name = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(TIMEOUT)
        with ServerProcess("main:app", cwd=place, env={"NOTIFY_SOCKET": name}) as server:
            server.wait_listening()
            assert manager.recv(999).startswith(b"READY=1")
            server.signal(signal.SIGHUP)
            assert manager.recv(999).startswith(b"RELOADING=1")
            assert manager.recv(999).startswith(b"READY=1")
            assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_end_of_the_terminal_is_the_end_of_the_service(place, workers):
    """As for any program; a signal of the same number from elsewhere is not."""
    outer, inner = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "katana_asgi", "main:app", "--port", "0", "--workers", workers],
        cwd=place, env=environment, stdin=inner, stdout=inner, stderr=inner,
        start_new_session=True, preexec_fn=lambda: os.set_inheritable(0, True),
    ) as process:  # fmt: skip
        try:
            os.close(inner)
            seen = b""
            while b"CTRL+C" not in seen:
                seen += os.read(outer, 4096)
            process.send_signal(signal.SIGHUP)
            while b"Received SIGHUP" not in seen:
                seen += os.read(outer, 4096)
            assert process.poll() is None
            os.close(outer)
            process.send_signal(signal.SIGHUP)
            assert process.wait(2 * TIMEOUT) == 0
        finally:
            process.terminate()


def test_a_signal_during_the_import_does_not_end_the_process(module):
    place = module(
        "import sys, time\n"
        "print('importing', file=sys.stderr)\n"
        "time.sleep(1)\n"
        "async def app(scope, receive, send): pass\n"
    )
    with ServerProcess("main:app", cwd=place) as server:
        server.wait_for("^importing")
        for name in ("SIGHUP", "SIGUSR1", *SUPERVISED_ONLY):
            server.signal(signal.Signals[name])
        server.wait_listening()
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_waits_says_for_what_and_how_to_end_it(place, workers, number):
    with (
        ServerProcess("main:app", "--workers", workers, cwd=place) as server,
        begin(server.wait_listening(), HALF_A_POST) as connection,
    ):
        server.wait_for("^received")
        server.signal(number)
        server.wait_for(
            r"Waiting for 1 running requests \(0 of them streaming\) and 1 open connections, "
            r"up to 30 s; a second signal ends it at once"
        )
        connection.sendall(b"def")
        assert read_response(connection) == (200, "close", b"abcdef")
        assert server.finish() == 0


def test_a_lifespan_shutdown_that_takes_long_is_named(module):
    place = module("""
import asyncio
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.sleep(1.5)
    await send({"type": "lifespan.shutdown.complete"})
""")
    with ServerProcess("main:app", cwd=place) as server:
        server.wait_listening()
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for lifespan shutdown of the application, up to 10 s; a second")
        assert server.finish() == 0


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_idle_clients_do_not_hold_up_a_stop(place, loop, workers):
    """Those that close at the end of file; the default of the drain grace is for a hand-over."""
    with (
        ServerProcess("main:app", "--workers", workers, "--loop", loop, cwd=place) as server,
        begin(server.wait_listening(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as connection,
    ):
        assert read_response(connection)[0] == 200
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert connection.recv(1) == b""
        taken = time.monotonic() - began
        connection.close()
        assert server.finish() == 0
    assert taken < 1.5 * PATIENCE, "half a second on a machine that is not busy"
