"""Server processes under a service manager that wants to be told."""

from __future__ import annotations

import socket

import pytest

from tests.support import ServerProcess


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_manager_is_told_of_start_life_and_end(place, tmp_path_factory, workers):
    name = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000"}
        with ServerProcess("main:app", "--workers", workers, cwd=place, env=environment) as server:
            url = server.wait_listening()
            told = manager.recv(999).decode().splitlines()
            while told == ["WATCHDOG=1"]:  # a supervisor lives before its workers are ready
                told = manager.recv(999).decode().splitlines()
            assert told[:2] == ["READY=1", f"MAINPID={server.process.pid}"]
            assert told[2] == f"STATUS=Listening on {url}"
            assert manager.recv(999) == b"WATCHDOG=1"
            assert manager.recv(999) == b"WATCHDOG=1"
            assert server.stop() == 0
        rest = []
        manager.setblocking(False)
        try:
            while True:
                rest.append(manager.recv(999))
        except BlockingIOError:
            pass
    assert rest.count(b"STOPPING=1\nSTATUS=Stopping") == 1
    assert set(rest) <= {b"STOPPING=1\nSTATUS=Stopping", b"WATCHDOG=1"}
