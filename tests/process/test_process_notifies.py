"""Server processes under a service manager that wants to be told."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.support import TIMEOUT, ServerProcess


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_manager_is_told_of_start_life_and_end(place, tmp_path_factory, workers):
    name = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(2 * TIMEOUT)
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


def hear(manager: socket.socket) -> list[str]:
    """The next message that is no sign of life."""
    while (told := manager.recv(999).decode().splitlines()) == ["WATCHDOG=1"]:
        pass
    return told


def test_a_reload_is_told_from_its_begin_to_its_end_also_where_it_is_refused(
    place, tmp_path_factory
):
    name = str(tmp_path_factory.mktemp("n") / "notify")
    config = place / "katana.toml"
    config.write_text('app = "main:app"\nworkers = 2\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(2 * TIMEOUT)
        environment = {"NOTIFY_SOCKET": name}
        with ServerProcess("--config", str(config), cwd=place, env=environment) as server:
            ready = hear(manager)
            for text in (config.read_text(), "workers = many"):
                config.write_text(text)
                before = time.monotonic_ns() // 1000
                server.signal(signal.SIGHUP)
                told = hear(manager)
                assert told[0] == "RELOADING=1"
                assert int(told[1].removeprefix("MONOTONIC_USEC=")) >= before
                assert hear(manager) == ready
            server.wait_for("Reloaded: all 2 workers are new")
            server.wait_for("Not reloaded")
            assert server.stop() == 0
            assert hear(manager)[0] == "STOPPING=1"


def test_the_service_is_the_new_supervisor_after_an_upgrade(place, tmp_path_factory):
    name = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(2 * TIMEOUT)
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000"}
        with ServerProcess("main:app", "--workers", "2", cwd=place, env=environment) as server:
            url = server.wait_listening()
            old = hear(manager)
            assert old[1] == f"MAINPID={server.process.pid}"
            server.signal(signal.SIGUSR2)
            told = sorted([hear(manager), hear(manager)], key=len)  # of two processes
            new = int(told[0][0].removeprefix("MAINPID="))
            assert new != server.process.pid
            assert told == [[f"MAINPID={new}"], ["READY=1", f"MAINPID={new}", old[2]]]
            server.wait_for(rf"Stopped supervisor \[{server.process.pid}\]")
            assert old[2] == f"STATUS=Listening on {url}"
            while manager.recv(999) != b"WATCHDOG=1":
                pass  # the new one is alive, which the old one cannot be any more
            os.kill(new, signal.SIGTERM)
            assert hear(manager)[0] == "STOPPING=1"
            server.finish()
