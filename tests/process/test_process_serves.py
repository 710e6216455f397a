"""Server processes that serve: alone, with workers, over a Unix socket."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

from talk import ask, read_response

from tests.support import TIMEOUT, ServerProcess


def served_by(url: str, wanted: int, attempts: int = 300) -> set[int]:
    """The processes that answer, until there are as many as wanted."""
    seen: set[int] = set()
    while len(seen) < wanted and attempts:
        seen.add(int(ask(url)))
        attempts -= 1
    return seen


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_factory_is_called(place):
    with ServerProcess("main:make", "--factory", cwd=place) as server:
        assert int(ask(server.wait_listening())) == server.process.pid
        assert server.stop() == 0


def test_an_application_without_lifespan_is_served(place):
    with ServerProcess("main:no_lifespan", cwd=place) as server:
        assert int(ask(server.wait_listening())) == server.process.pid
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_the_first_line_says_where_and_on_what(place):
    arguments = ("--http", "h11", "--loop", "asyncio")
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        line = server.wait_for("Listening on").string
        assert server.stop() == 0
    assert "1 worker, asyncio, h11" in line


def test_two_workers_serve_and_leave_nobody_behind(place):
    with ServerProcess("main:app", "--workers", "2", cwd=place) as server:
        url = server.wait_listening()
        server.wait_for("is ready")
        pids = served_by(url, 2)
        assert len(pids) == 2
        assert server.process.pid not in pids
        assert server.stop() == 0
    assert server.stderr.count("startup") == server.stderr.count("shutdown") == 2
    assert not any(alive(pid) for pid in pids)


def test_a_worker_that_was_killed_is_replaced_while_the_other_serves(place):
    with ServerProcess("main:app", "--workers", "2", cwd=place) as server:
        url = server.wait_listening()
        server.wait_for("is ready")
        before = served_by(url, 2)
        victim, survivor = sorted(before)
        os.kill(victim, signal.SIGKILL)
        server.wait_for("died")
        new = int(server.wait_for(r"\[(\d+)\] is ready")[1])
        assert served_by(url, 2) == {survivor, new}
        assert server.stop() == 0
    assert not any(alive(pid) for pid in (*before, new))


def test_a_unix_socket_serves_and_is_removed(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "socket"
    for workers in ("1", "2"):
        arguments = ("main:app", "--uds", str(path), "--workers", workers)
        with ServerProcess(*arguments, cwd=place, port=False) as server:
            assert server.wait_listening() == f"unix:{path}"
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT)
                connection.connect(str(path))
                connection.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
                status, _, body = read_response(connection)
            assert status == 200
            assert (int(body) == server.process.pid) is (workers == "1")
            assert server.stop() == 0
        assert not path.exists()


def test_a_worker_that_has_served_enough_retires(place):
    with ServerProcess("main:app", "--limit-max-requests", "3", cwd=place) as server:
        url = server.wait_listening()
        for _ in range(3):
            ask(url)
        assert server.finish() == 0
    assert "retiring" in server.stderr
    assert "shutdown" in server.stderr
