"""Deployments: links that are turned, directories that go, code that is half written.

What serves goes on serving, and the log has the reason (docs/reference/robustness.md).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from talk import ask

from tests.amounts import FULL, planned
from tests.support import TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = """
import os

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = b"RELEASE" if scope["path"] != "/pid" else b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def release(directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    (directory / "main.py").write_text(RELEASE.replace("RELEASE", name))


def turn(link: Path, target: str) -> None:
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.replace(link)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two releases, and ``current`` that points to the first."""
    release(tmp_path / "releases/1", "one")
    release(tmp_path / "releases/2", "two")
    (tmp_path / "current").symlink_to("releases/1")
    return tmp_path


def reload(server: ServerProcess) -> None:
    """Reload, and wait until the workers of before have ended."""
    before = set(re.findall(r"Worker \d+ \[(\d+)\] is ready", server.stderr))
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: all")
    deadline = time.monotonic() + TIMEOUT
    while before - set(re.findall(r"Worker \d+ \[(\d+)\] ended", server.stderr)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_shell(directory: Path, *arguments: str) -> ServerProcess:
    """A server started by a shell that has changed to ``directory``: ``PWD`` holds its name."""
    words = 'cd -L "$0" && exec "$@"'
    command = ("sh", "-c", words, str(directory), sys.executable, "-m", "katana_asgi")
    return ServerProcess(*arguments, command=command)


TWO = ("main:app", "--workers", "2")

STARTS: dict[str, Callable[[Path], ServerProcess]] = {
    "working directory": lambda site: in_shell(site / "current", *TWO),
    "chdir": lambda site: ServerProcess(*TWO, "--chdir", str(site / "current")),
    "relative chdir": lambda site: in_shell(site, *TWO, "--chdir", "current"),
    "app-dir": lambda site: in_shell(site, *TWO, "--app-dir", "current"),
    "file": lambda site: in_shell(site, "--config", "katana.toml"),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_reload_serves_what_the_link_points_to_now(site: Path, start: str) -> None:
    (site / "katana.toml").write_text('app = "main:app"\nchdir = "current"\nworkers = 2\n')
    with STARTS[start](site) as server:
        _, url = ready_workers(server)
        assert ask(url, "/") == b"one"
        turn(site / "current", "releases/2")
        shutil.rmtree(site / "releases/1")
        reload(server)
        assert {ask(url, "/") for _ in range(8)} == {b"two"}
        turn(site / "current", "releases/gone")
        server.signal(signal.SIGHUP)
        server.wait_for("Not reloaded|Reload given up")
        assert {ask(url, "/") for _ in range(8)} == {b"two"}
        assert server.stop() == 0


def test_one_more_and_a_replaced_worker_after_the_directory_was_removed(site: Path) -> None:
    with in_shell(site / "current", "main:app", "--workers", "2") as server:
        pids, url = ready_workers(server)
        turn(site / "current", "releases/2")
        shutil.rmtree(site / "releases/1")
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready")
        os.kill(pids[0], signal.SIGKILL)
        server.wait_for(rf"Worker 1 \[(?!{pids[0]}\])\d+\] is ready")
        assert b"two" in {ask(url, "/") for _ in range(32)}
        assert server.stop() == 0


def ready_workers(server: ServerProcess) -> tuple[list[int], str]:
    """Wait until both workers are ready; returns their process ids, in their order, and a URL."""
    for _ in range(2):
        server.wait_for(r"Worker \d+ \[\d+\] is ready")
    found = dict(re.findall(r"Worker (\d) \[(\d+)\] is ready", server.stderr))
    url = re.search(r"Listening on (\S+)", server.stderr)
    assert url is not None
    return [int(found["1"]), int(found["2"])], url[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_relative_paths_begin_in_chdir(site: Path, workers: str) -> None:
    place = site / "releases/1"
    (place / "sub").mkdir()
    (place / "sub/other.py").write_text((place / "main.py").read_text())
    (place / "robots.txt").write_text("nothing here")
    (place / "log.json").write_text('{"version": 1}')
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=place, check=True, capture_output=True,
    )  # fmt: skip
    arguments = (
        "other:app", "--chdir", "releases/1", "--app-dir", "sub", "--log-config", "log.json",
        "--static-file-route", "/robots.txt=robots.txt", "--workers", workers,
        "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem", "--pid-file", "katana.pid",
    )  # fmt: skip
    checked = subprocess.run(
        [sys.executable, "-m", "katana_asgi", *arguments, "--check-config"],
        cwd=site, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
    with ServerProcess(*arguments, cwd=site) as server:
        if workers == "1":
            server.wait_listening()
        else:
            ready_workers(server)
        assert (place / "katana.pid").read_text() == f"{server.process.pid}\n"
        if workers == "2":
            reload(server)
        assert server.stop() == 0
        assert not (place / "katana.pid").exists()


def test_a_path_that_exists_only_where_the_command_was_started_is_refused(site: Path) -> None:
    (site / "log.json").write_text('{"version": 1}')
    with ServerProcess("main:app", "--chdir", "current", "--log-config", "log.json",
                       cwd=site) as server:  # fmt: skip
        assert server.finish() == 2
    assert "log.json" in server.stderr


def test_a_program_may_name_paths_that_begin_in_chdir(site: Path) -> None:
    (site / "releases/1/sub").mkdir()
    (site / "releases/1/main.py").rename(site / "releases/1/sub/main.py")
    program = (
        "import katana_asgi; katana_asgi.run('main:app', chdir='current', app_dir='sub', port=0)"
    )
    with ServerProcess(cwd=site, command=(sys.executable, "-c", program), port=False) as server:
        assert ask(server.wait_listening(), "/") == b"one"
        assert server.stop() == 0


# Faults in each step of a change


def broken_code(site: Path) -> None:
    (site / "releases/1/main.py").write_text("def half written")


def no_module(site: Path) -> None:
    (site / "releases/1/main.py").unlink()


def directory_gone(site: Path) -> None:
    shutil.rmtree(site / "releases/1")


def link_to_nowhere(site: Path) -> None:
    turn(site / "current", "nowhere")


def half_a_file(site: Path) -> None:
    (site / "katana.toml").write_text('workers = 2\napp = "main:')


def wrong_setting(site: Path) -> None:
    (site / "katana.toml").write_text('workers = 2\napp = "main:app"\nlimit-connections = "some"\n')


def no_permission(site: Path) -> None:
    (site / "katana.toml").unlink()
    (site / "katana.toml").mkdir()  # as root any file can be read


def fifo(site: Path) -> None:
    (site / "katana.toml").unlink()
    os.mkfifo(site / "katana.toml")


def endless_file(site: Path) -> None:
    (site / "katana.toml").unlink()
    (site / "katana.toml").symlink_to("/dev/full")


def no_certificate(site: Path) -> None:
    (site / "katana.toml").write_text(
        'workers = 2\napp = "main:app"\nssl-certfile = "gone.pem"\nssl-keyfile = "gone.pem"\n'
    )


def static_file_fifo(site: Path) -> None:
    os.mkfifo(site / "releases/1/robots.txt")
    with (site / "katana.toml").open("a") as file:
        file.write('static-file-route = ["/robots.txt=robots.txt"]\n')


def log_config_fifo(site: Path) -> None:
    os.mkfifo(site / "releases/1/log.json")
    with (site / "katana.toml").open("a") as file:
        file.write('log-config = "log.json"\n')


CODE = (broken_code, no_module, directory_gone, link_to_nowhere)
SETTINGS = (half_a_file, wrong_setting, no_permission, fifo, endless_file, no_certificate,
            static_file_fifo, log_config_fifo)  # fmt: skip

STEPS = {
    "SIGHUP": (*CODE, *SETTINGS),
    # What replaces a worker that has died and what starts a further one is the same.
    "SIGTTIN": CODE if FULL else CODE[::2],
    "death": CODE if FULL else CODE[1::2],
    "SIGUSR2": (broken_code, directory_gone, fifo, no_certificate),
}

NOTED = {
    "SIGHUP": "Not reloaded|Reload given up",
    "SIGTTIN": r"Worker 3 .* failed to start|Worker 3 cannot be started",
    "death": r"Worker 1 .* failed to start|Worker 1 cannot be started",
    "SIGUSR2": r"The new supervisor \[\d+\] failed to start",
}


@pytest.mark.parametrize(
    ("step", "fault"), [(step, fault) for step, faults in STEPS.items() for fault in faults],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)  # fmt: skip
def test_a_fault_in_a_change_leaves_what_serves(
    site: Path, step: str, fault: Callable[[Path], None]
) -> None:
    (site / "katana.toml").write_text('app = "main:app"\nchdir = "current"\nworkers = 2\n')
    with ServerProcess("--config", "katana.toml", cwd=site) as server:
        pids, url = ready_workers(server)
        fault(site)
        if step == "death":
            os.kill(pids[0], signal.SIGKILL)
        else:
            server.signal(signal.Signals[step])
        server.wait_for(NOTED[step])
        if step in ("death", "SIGTTIN"):  # the crash-loop rule is not for them
            server.wait_for("replacing it in 10 s")
        assert answered_by(url) <= set(pids)
        assert server.stop() == 0
    assert "A fault of the supervisor" not in server.stderr
    assert not re.search(r"Traceback(?s:.)*?supervisor\.py", server.stderr)


def answered_by(url: str) -> set[int]:
    """Which processes answer; a worker that has died may have left a connection in its queue."""
    address = urlsplit(url)
    found: set[int] = set()
    deadline = time.monotonic() + TIMEOUT
    while len(found) < 1 or time.monotonic() < deadline - TIMEOUT + 0.2:
        http = HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT / 10)
        try:
            http.request("GET", "/pid")
            found.add(int(http.getresponse().read()))
        except (OSError, HTTPException):
            assert time.monotonic() < deadline
        finally:
            http.close()
    return found


def log_directory_gone(log: Path) -> None:
    shutil.rmtree(log.parent)


def log_is_a_directory(log: Path) -> None:
    log.unlink()
    log.mkdir()


def log_is_a_fifo(log: Path) -> None:
    log.unlink()
    os.mkfifo(log)


def full_disk(log: Path) -> None:
    log.unlink()
    log.symlink_to("/dev/full")


LOGS = (log_directory_gone, log_is_a_directory, log_is_a_fifo, full_disk)


@pytest.mark.parametrize(
    ("fault", "count", "number"),
    planned(LOGS, ("1", "2"), (signal.SIGUSR1, signal.SIGHUP)),
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_fault_in_reopening_logs_leaves_what_serves(
    site: Path, fault: Callable[[Path], None], count: str, number: signal.Signals
) -> None:
    log = site / "logs/access.log"
    log.parent.mkdir()
    arguments = ("main:app", "--workers", count, "--access-log-file", str(log))
    with ServerProcess(*arguments, cwd=site / "current") as server:
        url = server.wait_listening()
        ask(url, "/")
        fault(log)
        server.signal(number)
        server.wait_for(
            r"The access log cannot be reopened|katana_asgi\.access cannot be written"
            r"|Not reloaded|Reload given up|Reloaded: all|log files"
        )
        for _ in range(4):
            assert ask(url, "/") == b"one"
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_code_that_is_whole_again_is_served_by_the_next_reload(site: Path) -> None:
    whole = (site / "releases/1/main.py").read_text()
    with ServerProcess("main:app", "--workers", "2", cwd=site / "current") as server:
        _, url = ready_workers(server)
        broken_code(site)
        server.signal(signal.SIGTTIN)
        server.wait_for("replacing it in 10 s")
        (site / "releases/1/main.py").write_text(whole.replace("one", "mended"))
        reload(server)
        assert "Reloaded: all 3 workers are new" in server.stderr
        assert {ask(url, "/") for _ in range(8)} == {b"mended"}
        assert server.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="changes the limits of another process")
def test_a_reload_without_descriptors_leaves_what_serves(site: Path) -> None:
    import resource

    with ServerProcess("main:app", "--workers", "2", cwd=site / "current") as server:
        _, url = ready_workers(server)
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (4, before[1]))
        server.signal(signal.SIGHUP)
        server.wait_for("Not reloaded|Reload given up")
        assert ask(url, "/") == b"one"
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        reload(server)
        assert server.stop() == 0


def test_a_supervisor_that_was_stopped_holds_nothing_against_its_workers(site: Path) -> None:
    with ServerProcess(
        "main:app", "--workers", "2", "--timeout-worker", "3s", cwd=site / "current"
    ) as server:
        pids, url = ready_workers(server)
        server.signal(signal.SIGSTOP, group=True)
        time.sleep(4.5)
        server.signal(signal.SIGCONT, group=True)
        server.wait_for("The supervisor did not run for")
        assert answered_by(url) <= set(pids)
        assert server.stop() == 0
    assert "has been blocked" not in server.stderr
