"""Systems that are not like the developer's: read-only, without room, with small limits."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from talk import ask

from tests.support import ROOT, TIMEOUT, ServerProcess

NO_TEMPORARY_DIRECTORY = """
import sys, tempfile
def refuse():
    raise FileNotFoundError(2, "No usable temporary directory found")
tempfile._get_default_tempdir = refuse
from katana_asgi.cli import main
main(sys.argv[1:])
"""

SERVICES = [(), ("--workers", "2"), ("--slow-request", "1s")]


@pytest.mark.parametrize("arguments", SERVICES)
def test_no_temporary_directory_is_no_reason_not_to_serve(place, arguments):
    command = (sys.executable, "-c", NO_TEMPORARY_DIRECTORY)
    env = {"XDG_RUNTIME_DIR": ""}
    with ServerProcess("main:app", *arguments, cwd=place, env=env, command=command) as server:
        assert ask(server.wait_listening())
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


READ_ONLY = """
set -e
mount --make-rprivate /
for place in /tmp /var/tmp /dev/shm /run; do mount -t tmpfs -o ro tmpfs $place; done
mount -o remount,bind,ro /
cd "$0"
exec "$@"
"""


def may_unshare() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and not subprocess.run(
        [unshare, "-m", "sh", "-c", READ_ONLY.replace('exec "$@"', "true"), str(ROOT / "examples")],
        capture_output=True, check=False,
    ).returncode  # fmt: skip


@pytest.mark.skipif(not may_unshare(), reason="may not make a mount namespace")
@pytest.mark.parametrize("arguments", [*SERVICES, ("--reload",)])
def test_a_read_only_system_serves(arguments):
    command = ("unshare", "-m", "sh", "-c", READ_ONLY, str(ROOT / "examples"), sys.executable)
    with ServerProcess("bare:app", *arguments, command=(*command, "-m", "katana_asgi")) as server:
        server.wait_listening()
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("limit", [8, 16, 31])
def test_a_small_limit_of_descriptors_is_one_clear_line(place, limit, workers):
    command = (
        "sh",
        "-c",
        f'ulimit -n {limit}; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "katana_asgi",
    )
    with ServerProcess("main:app", "--workers", workers, cwd=place, command=command) as server:
        assert server.finish() == 1
    needs = "a service needs 32 at least (ulimit -n)"
    assert server.stderr == f"ERROR:    the limit of open files is {limit}, and {needs}\n"


def test_a_soft_limit_that_is_too_small_is_raised(place):
    command = ("sh", "-c", 'ulimit -Sn 16; exec "$@"', "sh", sys.executable, "-m", "katana_asgi")
    with ServerProcess("main:app", cwd=place, command=command) as server:
        assert ask(server.wait_listening())
        assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == 32
        assert server.stop() == 0


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_a_directory_that_has_gone_may_be_the_one_it_is_started_in(
    place, tmp_path_factory, arguments
):
    gone = tmp_path_factory.mktemp("gone")
    words = 'cd "$0" && rmdir "$0" && exec "$@"'
    command = ("sh", "-c", words, str(gone), sys.executable, "-m", "katana_asgi")
    with ServerProcess("main:app", "--app-dir", str(place), *arguments, command=command) as server:
        assert ask(server.wait_listening())
        assert server.stop() == 0
    gone.mkdir()
    with ServerProcess("main:app", *arguments, command=command) as server:
        assert server.finish() == 1
    assert "the working directory does not exist any more" in server.stderr
    assert "Traceback" not in server.stderr


def test_sockets_of_killed_processes_are_removed_from_the_control_directory(place, tmp_path):
    control = tmp_path / "control"
    arguments = ("main:app", "--control-dir", str(control))
    for _ in range(2):
        with ServerProcess(*arguments, cwd=place) as server:
            server.wait_listening()
            server.signal(signal.SIGKILL)
            server.process.wait(TIMEOUT)
    assert len(list(control.iterdir())) == 1, "the second has removed that of the first"
    (control / "notes.txt").write_text("of somebody else")
    other = control / f"1-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(other))
        alive.listen()
        with ServerProcess(*arguments, cwd=place) as server:
            server.wait_listening()
            own = control / f"{server.process.pid}-{server.process.pid}.sock"
            assert set(control.iterdir()) == {own, other, control / "notes.txt"}
            assert server.stop() == 0


def test_a_control_directory_that_was_asked_for_is_missed_aloud(place, tmp_path):
    control = tmp_path / "control"
    control.mkdir(mode=0o755)
    control.chmod(0o755)
    with ServerProcess("main:app", "--control-dir", str(control), cwd=place) as server:
        server.wait_for("No control socket: .* is not a directory of this user alone")
        assert ask(server.wait_listening())
        assert server.stop() == 0
