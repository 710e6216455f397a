"""A server process that is told to stop."""

from __future__ import annotations

import signal
import time

import pytest
from talk import HALF_A_POST, ask, begin, read_response, wait_refused

from katana_asgi.worker.signals import ONE_STOP
from tests.support import ServerProcess

QUICK = ("--timeout-graceful-shutdown", "100ms")

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@SIGNALS
def test_a_signal_ends_the_server_in_order(place, number):
    with ServerProcess("main:app", cwd=place) as server:
        url = server.wait_listening()
        assert int(ask(url)) == server.process.pid
        server.signal(number)
        assert server.finish() == 0
    lines = server.stderr.splitlines()
    assert lines[0] == "startup"
    assert f"Received {number.name}, stopping" in server.stderr
    assert lines.index("shutdown") > lines.index(f"INFO:     Received {number.name}, stopping")
    assert lines[-1].endswith("Stopped")
    assert "Traceback" not in server.stderr
    assert '"GET /pid HTTP/1.1" 200 OK' in server.stdout


@SIGNALS
def test_a_running_request_is_finished_first(place, number):
    with (
        ServerProcess("main:app", cwd=place) as server,
        begin(url := server.wait_listening(), HALF_A_POST) as connection,
    ):
        server.wait_for("^received")
        server.signal(number)
        wait_refused(url)  # then it knows that it is to stop
        connection.sendall(b"def")
        assert read_response(connection) == (200, "close", b"abcdef")
        assert server.finish() == 0
    assert server.stderr.splitlines()[-2:] == ["shutdown", "INFO:     Stopped"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_running_requests(place, second):
    with (
        ServerProcess("main:app", cwd=place) as server,
        begin(server.wait_listening(), HALF_A_POST),
    ):
        server.wait_for("^received")
        server.signal(signal.SIGTERM)
        server.wait_for("Received SIGTERM, stopping$")
        while second == signal.SIGTERM and server.process.poll() is None:
            time.sleep(ONE_STOP + 0.1)  # the same signal sooner counts once
            server.signal(second)
        server.signal(second)
        assert server.finish() == 0
    assert f"Received {second.name}, stopping at once" in server.stderr


def test_a_request_that_outlives_the_budget_is_cancelled(place):
    with (
        ServerProcess("main:app", *QUICK, cwd=place) as server,
        begin(server.wait_listening(), HALF_A_POST),
    ):
        server.wait_for("^received")
        assert server.stop() == 0
    assert "Cancelling 1 running requests" in server.stderr
    assert "shutdown" in server.stderr


def test_a_worker_that_is_stopped_before_it_was_ready_says_so_and_nothing_else(module):
    startup = "import asyncio, sys\nasync def app(scope, receive, send):\n"
    startup += "    print('starting', file=sys.stderr)\n    await asyncio.sleep(3600)\n"
    with ServerProcess("main:app", "--supervise", cwd=module(startup)) as server:
        server.wait_for("^starting")
        assert server.stop() == 0
    assert server.stderr.count("Received SIGTERM, stopping") == 1  # the supervisor
    assert server.stderr.count("Stopped before it was ready") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("target", ["/stubborn", "/thread"])
def test_an_application_that_does_not_give_way_cannot_stop_the_end(place, target, workers):
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with (
        ServerProcess("main:app", *QUICK, "--workers", workers, cwd=place) as server,
        begin(server.wait_listening(), request),
    ):
        server.wait_for("stubborn|in a thread")
        assert server.stop() == 0


def test_a_keyboard_interrupt_of_the_whole_group_is_one_stop(place):
    with ServerProcess("main:app", "--workers", "2", cwd=place) as server:
        url = server.wait_listening()
        ask(url)
        server.signal(signal.SIGINT, group=True)
        assert server.finish() == 0
    assert "Traceback" not in server.stderr
    assert "KeyboardInterrupt" not in server.stderr
    assert server.stderr.count("shutdown") == server.stderr.count("startup")


@SIGNALS
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_during_the_import_ends_the_server(module, number, workers):
    place = module("import sys, time\nprint('importing', file=sys.stderr)\ntime.sleep(3600)\n")
    with ServerProcess("main:app", "--workers", workers, cwd=place) as server:
        server.wait_for("^importing")
        server.signal(number)
        assert server.finish() == 0
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_during_startup_ends_the_server(module, workers):
    place = module(
        "import asyncio, sys\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    print('waiting', file=sys.stderr)\n"
        "    await asyncio.Event().wait()\n"
    )
    with ServerProcess("main:app", "--workers", workers, cwd=place) as server:
        server.wait_for("^waiting")
        assert server.stop() == 0
    assert "Traceback" not in server.stderr
