"""What changes while a service runs: workers, settings, their number, the supervisor itself."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from benchmarks.endurance.__main__ import run
from tests.support import TIMEOUT, ServerProcess

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")

MAIN = """
import asyncio, os, sys, time
VERSION = 1

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        print("blocking", file=sys.stderr)
        time.sleep(3600)
    if scope["path"] == "/notice":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await scope["state"]["katana.shutdown"].wait()
        await send({"type": "http.response.body", "body": b", ended"})
        return
    body = b"%d %d" % (VERSION, os.getpid())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


def change_version(place, source=None):
    """Another application; the time of the file tells Python that it is another."""
    (place / "main.py").write_text(source or MAIN.replace("VERSION = 1", "VERSION = 22"))


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), 2 * TIMEOUT)


def get(connection: socket.socket, target: str = "/") -> tuple[bytes, bytes]:
    """Head and content of a response with a length."""
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or pytest.fail(f"closed: {data!r}")
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head.lower(), body


def ask(url: str, target: str = "/") -> bytes:
    with connect(url) as connection:
        return get(connection, target)[1]


# Rolling restart


@pytest.mark.timeout(18 * TIMEOUT)  # it waits for whole processes, again and again
async def test_requests_survive_rolling_restarts():
    (site,), faults = await run(4.0, only={"restart"}, crowds=False, names=["plain"])
    assert faults == []
    assert len(site.outcomes.workers) > 2


def test_sighup_loads_new_code_and_settings(place):
    config = place / "katana.toml"
    config.write_text('app = "main:app"\nworkers = 2\n[static-routes]\n"/v" = "old"\n')
    with ServerProcess("--config", str(config), cwd=place) as server:
        url = server.wait_listening()
        assert ask(url).startswith(b"1 ")
        assert ask(url, "/v") == b"old"
        change_version(place)
        config.write_text(config.read_text().replace("old", "new"))
        server.signal(signal.SIGHUP)
        server.wait_for(r"Worker 2 \[\d+\] ended")
        assert all(ask(url).startswith(b"22 ") for _ in range(8))
        assert ask(url, "/v") == b"new"
        assert server.stop() == 0


def test_signals_faster_than_workers_start_do_not_keep_one_worker_old(place):
    with ServerProcess("main:app", "--workers", "2", cwd=place) as server:
        server.wait_listening()
        server.signal(signal.SIGHUP)
        server.wait_for("Started worker 1")
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: all 2 workers are new")
        rolled = server.stderr.partition("Received SIGHUP")[2]
        assert re.findall(r"Started worker (\d)", rolled) == ["1", "2", "1"]
        assert server.stop() == 0


def test_a_successor_that_fails_leaves_the_old_worker_serving_and_says_why(place):
    with ServerProcess("main:app", "--supervise", cwd=place) as server:
        url = server.wait_listening()
        with connect(url) as connection:
            first = get(connection)[1]
            change_version(place, "raise LookupError('no such thing')")
            server.signal(signal.SIGHUP)
            server.wait_for("LookupError: no such thing")
            server.wait_for(r"failed to start: module 'main' could not be imported; .*serving")
            server.wait_for("Reload given up")
            assert get(connection)[1] == first == ask(url)
        change_version(place)
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: all 1 workers are new")
        server.wait_for(r"Worker 1 \[\d+\] ended")  # until it hears of it, it may still accept
        assert ask(url).startswith(b"22 ")
        assert server.stop() == 0


def test_settings_that_are_wrong_leave_everything_as_it_is(place):
    config = place / "katana.toml"
    config.write_text('app = "main:app"\nworkers = 2\n')
    with ServerProcess("--config", str(config), cwd=place) as server:
        url = server.wait_listening()
        config.write_text('app = "main:app"\nworkers = "many"\n')
        server.signal(signal.SIGHUP)
        server.wait_for("Not reloaded, the service goes on as it is: .*many")
        assert ask(url).startswith(b"1 ")
        assert server.stop() == 0


def test_an_idle_connection_is_told_before_it_is_closed(place):
    arguments = ("main:app", "--supervise", "--timeout-drain-idle", "20s")
    with ServerProcess(*arguments, cwd=place) as server:
        url = server.wait_listening()
        with connect(url) as connection:
            head, body = get(connection)
            assert b"connection: close" not in head
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded")
            while b"connection: close" not in head:
                head, again = get(connection)
                assert again == body  # from the worker that drains, or will do so in a moment
            assert connection.recv(1) == b""
        server.wait_for("ended")
        assert server.stop() == 0


# The number of workers


def test_signals_change_the_number_of_workers_and_lose_no_connection(place):
    with ServerProcess("main:app", "--workers", "2", cwd=place) as server:
        url = server.wait_listening()
        server.wait_for("is ready")
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready")
        assert len({ask(url) for _ in range(99)}) == 3
        server.signal(signal.SIGTTOU)
        server.wait_for(r"Worker 1 \[\d+\] is ready")  # it has two sockets now
        server.wait_for(r"Worker [13] \[\d+\] ended \(exit status 0\)")
        server.wait_for(r"Worker [13] \[\d+\] ended \(exit status 0\)")
        assert len({ask(url) for _ in range(64)}) == 2
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready")
        assert len({ask(url) for _ in range(64)}) > 1
        assert server.stop() == 0


# Another supervisor


def test_sigusr2_hands_the_sockets_to_a_new_supervisor(place):
    pid_file = place / "pid"
    arguments = ("main:app", "--workers", "2", "--pid-file", str(pid_file))
    with ServerProcess(*arguments, cwd=place) as server:
        url = server.wait_listening()
        assert int(pid_file.read_text()) == server.process.pid
        change_version(place)
        with connect(url) as connection:
            assert get(connection)[1].startswith(b"1 ")
            server.signal(signal.SIGUSR2)
            new = int(server.wait_for(r"The new supervisor \[(\d+)\] is ready, stopping")[1])
            head = b""
            while b"connection: close" not in head:
                head, body = get(connection)
                assert body.startswith(b"1 ")
        server.wait_for(rf"Stopped supervisor \[{server.process.pid}\]")
        assert server.process.wait(2 * TIMEOUT) == 0
        assert int(pid_file.read_text()) == new
        assert all(ask(url).startswith(b"22 ") for _ in range(4))
        os.kill(new, signal.SIGTERM)
        server.wait_for(rf"Stopped supervisor \[{new}\]")
        server.finish()
    assert not pid_file.exists()


def test_a_new_program_with_settings_for_one_worker_takes_over_as_well(place):
    settings = place / "katana.toml"
    settings.write_text("workers = 2\n")
    with ServerProcess("main:app", "--config", str(settings), cwd=place) as server:
        url = server.wait_listening()
        settings.write_text("workers = 1\n")
        change_version(place)
        server.signal(signal.SIGUSR2)
        new = int(server.wait_for(r"The new supervisor \[(\d+)\] is ready, stopping")[1])
        assert server.process.wait(2 * TIMEOUT) == 0
        assert ask(url).startswith(b"22 ")
        os.kill(new, signal.SIGTERM)
        server.wait_for(rf"Stopped supervisor \[{new}\]")
        server.finish()


def test_a_new_supervisor_that_fails_leaves_the_old_one_serving(place):
    with ServerProcess("main:app", "--supervise", cwd=place) as server:
        url = server.wait_listening()
        change_version(place, "nothing = 1")
        server.signal(signal.SIGUSR2)
        server.wait_for(r"The new supervisor \[\d+\] failed to start; this one goes on")
        assert ask(url).startswith(b"1 ")
        assert server.stop() == 0


def test_a_new_supervisor_that_fails_leaves_the_unix_socket(place):
    arguments = ("main:app", "--supervise", "--uds", "socket")
    with ServerProcess(*arguments, cwd=place, port=False) as server:
        server.wait_listening()
        change_version(place, "nothing = 1")
        server.signal(signal.SIGUSR2)
        server.wait_for(r"The new supervisor \[\d+\] failed to start; this one goes on")
        assert (place / "socket").is_socket()
        assert server.stop() == 0
    assert not (place / "socket").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_ends_the_new_supervisor_too_that_is_still_starting(place, number):
    with ServerProcess("main:app", "--supervise", cwd=place) as server:
        url = server.wait_listening()
        fifo = place / "fifo"
        os.mkfifo(fifo)
        change_version(place, f"with open({str(fifo)!r}) as fifo: fifo.read()")
        server.signal(signal.SIGUSR2)
        with fifo.open("w"):  # the new worker is in the middle of its import
            new = int(server.wait_for(r"Started a new supervisor \[(\d+)\]")[1])
            server.signal(number)
            assert server.process.wait(2 * TIMEOUT) == 0
            with pytest.raises(ProcessLookupError):
                os.kill(new, 0)
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", int(url.rpartition(":")[2])))
            again.listen()


@pytest.mark.parametrize("more", [(), ("--supervise",)])
def test_what_is_no_file_is_not_replaced_by_the_pid_file(place, more):
    os.mkfifo(place / "fifo")
    (place / "link").symlink_to(os.devnull)
    for name in ("fifo", "link"):
        arguments = ("main:app", "--uds", "sock", "--pid-file", name, *more)
        with ServerProcess(*arguments, cwd=place, port=False) as server:
            server.wait_for(f"cannot write the PID file {name}: it is not a regular file")
            assert server.finish() == 1
        assert not (place / "sock").exists()
    assert (place / "fifo").is_fifo()
    assert (place / "link").is_char_device()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_a_changed_env_file_counts_at_once(place, number):
    pytest.importorskip("dotenv")
    source = MAIN.replace("VERSION = 1", "VERSION = int(os.environ.get('NEW') or '1')")
    (place / "main.py").write_text(source)
    (place / ".env").write_text("NEW=3\nGONE=1\n")
    pid_file = place / "pid"
    arguments = ("--supervise", "--env-file", ".env", "--pid-file", str(pid_file))
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        url = server.wait_listening()
        assert ask(url).startswith(b"3 ")
        (place / ".env").write_text("NEW=4\n")
        server.signal(number)
        server.wait_for(r"Worker 1 \[\d+\] ended")
        assert ask(url).startswith(b"4 ")
        (place / ".env").write_text("")
        os.kill(int(pid_file.read_text()), signal.SIGHUP)
        server.wait_for("Reloaded")
        server.wait_for(r"Worker 1 \[\d+\] ended")
        assert ask(url).startswith(b"1 ")
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        server.finish()


# Recycling and heartbeat


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--max-worker-age", "1s"), "reached its age"),
        (("--max-worker-memory", "1MiB"), "uses \\d+ MiB of memory"),
        (("--limit-max-requests", "2"), "served \\d+ requests"),
    ],
)
def test_a_worker_at_its_limit_serves_until_its_successor_is_ready(place, arguments, reason):
    with ServerProcess("main:app", "--supervise", *arguments, cwd=place) as server:
        url = server.wait_listening()
        before = ask(url)
        ask(url)
        server.wait_for(f"Worker 1 .* retires after .*: {reason}")
        server.wait_for(r"Worker 1 \[\d+\] is ready")
        assert server.stop() == 0
    assert before
    assert "died" not in server.stderr


def test_a_blocked_worker_shows_its_stack_and_is_replaced(place):
    with ServerProcess("main:app", "--supervise", "--timeout-worker", "3s", cwd=place) as server:
        url = server.wait_listening()
        with connect(url) as connection:
            connection.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
            server.wait_for(r"worker 1 \[\d+\] has been blocked for .*; its stacks")
            server.wait_for(r'File ".*main.py", line \d+ in app')
            server.wait_for(r"Worker 1 \[\d+\] died \(SIGABRT\)")
            server.wait_for(r"Worker 1 \[\d+\] is ready")
            assert ask(url).startswith(b"1 ")
        assert server.stop() == 0


# Who the workers are


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_affinity_umask_directory_and_titles(place):
    pytest.importorskip("setproctitle")
    (place / "main.py").write_text(
        MAIN.replace(
            'b"%d %d" % (VERSION, os.getpid())',
            "repr((len(os.sched_getaffinity(0)), os.umask(0), os.getcwd(), title())).encode()",
        )
        + "\ndef title():\n    with open('/proc/self/cmdline') as file:\n"
        "        return file.read().rstrip(chr(0))\n"
    )
    arguments = ("--supervise", "--cpu-affinity", "--umask", "027", "--chdir", str(place))
    with ServerProcess("main:app", *arguments, cwd="/") as server:
        text = ask(server.wait_listening()).decode()
        assert server.stop() == 0
    assert text == repr((1, 0o027, str(place), "katana-asgi: main:app: worker 1"))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
@pytest.mark.parametrize("more", [0, 1])
def test_auto_affinity_binds_where_each_worker_has_a_cpu_of_its_own(place, more):
    (place / "main.py").write_text(
        MAIN.replace('b"%d %d" % (VERSION, os.getpid())', "repr(os.sched_getaffinity(0)).encode()")
    )
    processors = len(os.sched_getaffinity(0))
    workers = str(processors + more)
    arguments = ("--supervise", "--cpu-affinity", "auto", "--workers", workers)
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        bound = ast.literal_eval(ask(server.wait_listening()).decode())
        assert server.stop() == 0
    assert len(bound) == (processors if more else 1)
    assert ("Not bound to a CPU" in server.stderr) == bool(more)


def may_become_another() -> bool:
    """Whether this is root, and the interpreter can be read by others."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    try:
        return not subprocess.run([sys.executable, "-c", "import asyncio"], user=65534).returncode
    except OSError:
        return False


@pytest.mark.skipif(not may_become_another(), reason="only root may, with a public interpreter")
@pytest.mark.parametrize("more", [(), ("--supervise", "--preload")])
def test_workers_are_another_user_once_the_socket_is_bound(place, more):
    place.chmod(0o755)
    for parent in place.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)  # pytest's own directories are private
    (place / "main.py").write_text(
        MAIN.replace('b"%d %d" % (VERSION, os.getpid())', 'b"%d %d" % (os.getuid(), os.getgid())')
    )
    arguments = ("main:app", "--user", "65534", "--group", "65534", *more)
    with ServerProcess(*arguments, cwd=place) as server:
        assert ask(server.wait_listening()) == b"65534 65534"
        assert server.stop() == 0


@pytest.mark.parametrize("more", [(), ("--supervise",)])
def test_a_second_instance_by_mistake_leaves_the_pid_file_alone(place, more):
    path = place / "pid"
    arguments = ("main:app", "--pid-file", str(path), *more)
    with ServerProcess(*arguments, cwd=place) as server:
        port = server.wait_listening().rpartition(":")[2]
        with ServerProcess(*arguments, "--port", port, cwd=place, port=False) as second:
            assert second.finish() == 1
        assert "the address is in use" in second.stderr
        assert int(path.read_text()) == server.process.pid
        assert server.stop() == 0
    assert not path.exists()


def test_preload_imports_once(place):
    (place / "main.py").write_text(MAIN + "import sys; print('imported', file=sys.stderr)\n")
    with ServerProcess("main:app", "--workers", "2", "--preload", cwd=place) as server:
        server.wait_listening()
        server.wait_for("is ready")
        assert server.stop() == 0
    assert server.stderr.count("imported\n") == 1


# Lame duck


def test_after_sigterm_it_accepts_for_a_while_and_readiness_is_red(place):
    config = place / "katana.toml"
    config.write_text(
        'app = "main:app"\nshutdown-delay = "3s"\n[static-routes]\n"/healthz" = "ok"\n'
        '"/readyz" = { body = "ready", ready = true }\n'
    )
    for more in ((), ("--supervise",)):
        with ServerProcess("--config", str(config), *more, cwd=place) as server:
            url = server.wait_listening()
            with connect(url) as connection:
                head, body = get(connection, "/readyz")
                assert (head.startswith(b"http/1.1 200"), body) == (True, b"ready")
            server.signal(signal.SIGTERM)
            server.wait_for("Accepting for 3 s more")
            for target, status in (("/readyz", b"503"), ("/healthz", b"200"), ("/", b"200")):
                with connect(url) as connection:
                    head, _ = get(connection, target)
                    assert head.split()[1] == status
                    assert b"connection: close" in head
                    assert connection.recv(1) == b""
            assert server.finish() == 0
            with pytest.raises(ConnectionRefusedError):
                connect(url)


def test_an_application_may_await_the_notice_of_the_end(place):
    with ServerProcess("main:app", cwd=place) as server, connect(server.wait_listening()) as client:
        client.sendall(b"GET /notice HTTP/1.0\r\nHost: a\r\n\r\n")
        data = client.recv(65536)
        while b"begun" not in data:
            data += client.recv(65536)
        server.signal(signal.SIGTERM)
        rest = b""
        while more := client.recv(65536):
            rest += more
        assert rest == b", ended"
        assert server.finish() == 0


def test_streams_have_a_budget_of_their_own(place):
    arguments = ("--timeout-stream-shutdown", "100ms", "--timeout-graceful-shutdown", "1h")
    change_version(place, MAIN.replace('scope["state"]["katana.shutdown"]', "asyncio.Event()"))
    with (
        ServerProcess("main:app", *arguments, cwd=place) as server,
        connect(server.wait_listening()) as client,
    ):
        client.sendall(b"GET /notice HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(65536)
        assert server.stop() == 0
    assert "Cancelling 1 running requests" in server.stderr


# A loop that is blocked


def test_a_blocked_process_can_be_stopped(place):
    with (
        ServerProcess("main:app", cwd=place) as server,
        connect(server.wait_listening()) as client,
    ):
        client.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for("blocking")
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        status = server.finish()
    assert status in (128 + signal.SIGINT, 128 + signal.SIGTERM)  # whichever was seen last
    assert "The event loop is blocked and cannot stop; the stacks follow" in server.stderr
    assert 'main.py", line' in server.stderr


@pytest.mark.parametrize("more", [(), ("--supervise",)])
def test_sigquit_stops_at_once(place, more):
    with (
        ServerProcess("main:app", "--timeout-graceful-shutdown", "1h", *more, cwd=place) as server,
        connect(server.wait_listening()) as client,
    ):
        client.sendall(b"GET /notice HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(65536)
        server.signal(signal.SIGQUIT)
        assert server.finish() == 0
    assert "Received SIGQUIT, stopping at once" in server.stderr
    assert "did not end in time" not in server.stderr


def test_the_start_line_of_several_workers_says_what_they_run_on(place):
    arguments = ("main:app", "--workers", "2", "--loop", "asyncio", "--http", "h11")
    with ServerProcess(*arguments, cwd=place) as server:
        line = server.wait_for("Listening on").string
        assert server.stop() == 0
    assert "(2 workers, asyncio, h11)" in line
