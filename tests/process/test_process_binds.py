"""Server processes that listen in several places, and on sockets of a service manager."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time

import pytest
from talk import ask, read_response

from tests.support import TIMEOUT, ServerProcess, activated

linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


def ask_unix(address: str | bytes) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(address)
        connection.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        status, _, body = read_response(connection)
        assert status == 200
        return int(body)


@linux
def test_several_places_are_served_at_once(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "app.sock"
    name = f"katana-{os.getpid()}"
    binds = ("127.0.0.1:0", "127.0.0.1:0", f"unix:{path}", f"unix:@{name}")
    flags = [word for bind in binds for word in ("--bind", bind)]
    arguments = ("main:app", *flags, "--uds-mode", "600")
    with ServerProcess(*arguments, cwd=place, port=False) as server:
        first, second = server.wait_listening(), server.wait_listening()
        assert first != second
        assert [server.wait_listening() for _ in range(2)] == [f"unix:{path}", f"unix:@{name}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        pids = [int(ask(first)), int(ask(second)), ask_unix(str(path)), ask_unix(f"\0{name}")]
        assert pids == [server.process.pid] * 4
        assert server.stop() == 0
    assert not path.exists()


@linux
def test_several_places_and_workers_go_through_every_change(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "app.sock"
    binds = ("127.0.0.1:0", f"unix:{path}", "127.0.0.1:0")
    flags = [word for bind in binds for word in ("--bind", bind)]
    with ServerProcess("main:app", *flags, "--workers", "2", cwd=place, port=False) as server:
        places = [server.wait_listening() for _ in binds]
        assert places[1] == f"unix:{path}"

        def served(wanted: int) -> set[int]:
            """The processes that answer at every place, of which there have to be so many."""
            found = [set(), set(), set()]
            deadline = time.monotonic() + 2 * TIMEOUT
            while len(found[0]) < wanted or len(found[2]) < wanted or not found[1]:
                assert time.monotonic() < deadline, found
                found[0].add(int(ask(places[0])))
                found[1].add(ask_unix(str(path)))
                found[2].add(int(ask(places[2])))
            assert found[0] == found[2] >= found[1]
            return found[0]

        server.wait_for("is ready") if server.stderr.count("is ready") < 2 else None
        first = served(2)
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready")
        assert first < served(3)
        server.signal(signal.SIGTTOU)
        for _ in range(2):  # the third, and the first, whose successor has its sockets too
            server.wait_for(r"Worker [13] \[\d+\] ended \(exit status 0\)")
        second = served(2)
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready")
        server.signal(signal.SIGTTOU)  # the first has had the sockets of the third since then
        server.wait_for(r"Worker 3 \[\d+\] ended \(exit status 0\)")
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: all 2 workers are new")
        server.wait_for(r"Worker 2 \[\d+\] ended")
        third = served(2)
        assert not second & third
        server.signal(signal.SIGUSR2)
        new = int(server.wait_for(r"The new supervisor \[(\d+)\] is ready, stopping")[1])
        server.wait_for(rf"Stopped supervisor \[{server.process.pid}\]")
        assert not third & served(2)
        assert server.process.wait(2 * TIMEOUT) == 0
        os.kill(new, signal.SIGTERM)
        server.wait_for(rf"Stopped supervisor \[{new}\]")
        server.finish()
    assert not path.exists()


@WORKERS
@pytest.mark.parametrize(("bind", "expected"), [("systemd", "web"), ("systemd:web", "web")])
def test_sockets_of_a_service_manager_are_served_and_stay_open(place, workers, bind, expected):
    with socket.create_server(("127.0.0.1", 0)) as web:
        arguments = ("main:app", "--bind", bind, "--workers", workers)
        port = web.getsockname()[1]
        with activated([(expected, web)], *arguments, cwd=place) as server:
            url = server.wait_listening()
            assert url == f"http://127.0.0.1:{port}"
            ask(url)
            assert server.stop() == 0
        assert web.getsockname()[1] == port
        with socket.create_connection(("127.0.0.1", port)):  # waits for the next start
            web.accept()[0].close()


def test_a_name_chooses_among_sockets(place):
    anywhere = ("127.0.0.1", 0)
    with socket.create_server(anywhere) as web, socket.create_server(anywhere) as other:
        given = [("other", other), ("web", web)]
        with activated(given, "main:app", "--bind", "systemd:web", cwd=place) as server:
            assert server.wait_listening().endswith(f":{web.getsockname()[1]}")
            assert server.stop() == 0


@pytest.mark.parametrize("bind", ["systemd", "systemd:web"])
def test_without_sockets_of_a_service_manager_the_error_says_so(place, bind):
    with ServerProcess("main:app", "--bind", bind, cwd=place, port=False) as server:
        assert server.finish() == 1
    assert "cannot listen on systemd: this process was given no sockets" in server.stderr
    assert "Traceback" not in server.stderr


def test_a_name_that_no_socket_has_is_an_error_with_those_there_are(place):
    with socket.create_server(("127.0.0.1", 0)) as web:
        given = [("web", web)]
        with activated(given, "main:app", "--bind", "systemd:wep", cwd=place) as server:
            assert server.finish() == 1
    assert "cannot listen on systemd:wep: no socket has that name (web)" in server.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--bind", "8000"), "use HOST:PORT"),
        (("--bind", "a:70000"), "use HOST:PORT"),
        (("--bind", "a:1", "--host", "b"), "cannot be combined"),
        (("--uds-mode", "rw"), "use three octal digits"),
    ],
)
def test_places_that_cannot_be_are_refused(place, flags, message):
    with ServerProcess("main:app", *flags, cwd=place, port=False) as server:
        assert server.finish() == 2
    assert message in server.stderr


def test_a_place_in_use_leaves_nothing_of_the_others(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "app.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = ("--bind", f"unix:{path}", "--bind", bind)
        with ServerProcess("main:app", *flags, cwd=place, port=False) as server:
            assert server.finish() == 1
    assert f"cannot listen on {bind}: the address is in use" in server.stderr
    assert not path.exists()
