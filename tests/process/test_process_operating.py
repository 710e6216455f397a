"""An operator's day: what the commands, titles, metrics and start lines of real processes say."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from katana_asgi.admin.commands import summary
from katana_asgi.config.model import SETTINGS
from tests.support import ROOT, TIMEOUT, ServerProcess, activated

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

APPLICATION = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/fail":
        raise RuntimeError("no luck")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def create_app():
    return app
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APPLICATION)
    return tmp_path


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        text: str = response.read().decode()
        return text


def get_as_soon_as_possible(url: str) -> str:
    """From the admin process, which starts beside the workers."""
    deadline = time.monotonic() + 2 * TIMEOUT
    while True:
        try:
            return get(url)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def command(place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "katana_asgi", *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    )


def admin_of(server: ServerProcess) -> str:
    return server.wait_for(r"Admin listener on http://(\S+:\d+)")[1]


# -- metrics (F1)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_pass_the_linter_of_prometheus(place: Path, workers: str) -> None:
    pytest.importorskip("prometheus_client")
    arguments = ("--admin-bind", "127.0.0.1:0", "--metrics-routes", "/a/*", "--workers", workers)
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        address, url = admin_of(server), server.wait_listening()
        get(f"{url}/a/b")
        with suppress(OSError):
            get(f"{url}/fail")
        text = get_as_soon_as_possible(f"http://{address}/metrics")
        assert server.stop() == 0
    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_metrics_say_what_runs_since_when_and_how_long_certificates_last(place: Path) -> None:
    pytest.importorskip("prometheus_client")
    trustme = pytest.importorskip("trustme")
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(place / "cert.pem")
    )
    arguments = ("--admin-bind", "127.0.0.1:0", "--ssl-certfile", "cert.pem")
    before = time.time()
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        address = admin_of(server)
        server.wait_listening()
        text = get(f"http://{address}/metrics")
        assert server.stop() == 0
    assert re.search(r'katana_asgi_build_info\{application="main:app",.*version="\S+"\} 1\.0', text)
    started = re.search(r"^katana_asgi_start_time_seconds (\S+)$", text, re.MULTILINE)
    assert started is not None
    assert before <= float(started[1]) <= time.time()
    ends = re.search(r'katana_asgi_certificate_expiry_timestamp_seconds\{host=""\} (\S+)', text)
    assert ends is not None
    assert float(ends[1]) > time.time()


# -- status and top (F2, F3)

IDLE = {"p50": 0.0, "p99": 0.0, "p999": 0.0, "count": 0, "sum": 0.0}


def test_no_time_is_shown_where_there_was_no_request() -> None:
    # Requests for static routes are counted and not timed.
    worker = {"number": 1, "pid": 7, "requests": 2, "p99": 0.0, "rss": 2**20, "draining": False}
    text = summary(
        {
            "application": "main:app",
            "ready": True,
            "stopping": False,
            "uptime": 1.0,
            "restarts": 0,
            "rate": 0.0,
            "recent": IDLE,
            "duration": IDLE,
            "classes": {},
            "workers": [worker],
        }
    )
    assert "µs" not in text
    assert text.startswith("main:app: ready, up 1 s")


def test_top_fits_80_columns_and_ends_with_q(place: Path) -> None:
    pytest.importorskip("rich")
    pytest.importorskip("prometheus_client")
    arguments = ("--admin-bind", "127.0.0.1:0")
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        address, url = admin_of(server), server.wait_listening()
        get(url)
        controlling, terminal = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
        with subprocess.Popen(
            [sys.executable, "-m", "katana_asgi", "top", "--admin", address],
            cwd=place,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        ) as top:
            os.close(terminal)
            shown = read_until(controlling, b"Slowest")
            os.write(controlling, b"q")
            with suppress(OSError):  # the other side is closed
                read_until(controlling, b"never shown")
            assert top.wait(TIMEOUT) == 0
        os.close(controlling)
        assert server.stop() == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode("utf-8", "replace"))
    (heads,) = {line for line in plain.splitlines() if "lag p99" in line}
    words = re.split(r"\s*[│┃|]\s*", heads.strip("│┃| "))
    expected = ["no", "pid", "requests", "p99", "lag p99", "idle", "busy", "ws", "MiB", "cpu s"]
    assert words == expected
    assert all(len(line) <= 80 for line in plain.splitlines())


def read_until(descriptor: int, wanted: bytes) -> bytes:
    data = b""
    deadline = time.monotonic() + 3 * TIMEOUT
    while wanted not in data:
        assert time.monotonic() < deadline, data
        if select.select([descriptor], [], [], TIMEOUT)[0]:
            data += os.read(descriptor, 65536)
    return data


def test_status_names_the_application(place: Path) -> None:
    pytest.importorskip("prometheus_client")
    arguments = ("--admin-bind", "127.0.0.1:0", "--workers", "2")
    with ServerProcess("main:app", *arguments, cwd=place) as server:
        address = admin_of(server)
        server.wait_listening()
        status = json.loads(get_as_soon_as_possible(f"http://{address}/status.json"))
        assert status["application"] == "main:app"
        assert command(place, "status", "--admin", address).stdout.startswith("main:app: ")
        assert server.stop() == 0


# -- profile and dump (F4)


def test_services_that_run_beside_each_other_are_named(place: Path) -> None:
    (place / "other.py").write_text(APPLICATION)
    directory = ("--control-dir", str(place / "c"))
    with (
        ServerProcess("main:app", *directory, cwd=place) as one,
        ServerProcess("other:app", *directory, cwd=place) as two,
    ):
        one.wait_listening()
        two.wait_listening()
        refused = command(place, "dump", *directory)
        assert refused.returncode == 1
        for server, name in ((one, "main:app"), (two, "other:app")):
            assert re.search(rf"{server.process.pid} \([^)]*{name}", refused.stderr)
        shown = command(place, "dump", *directory, "--pid", str(two.process.pid))
        assert re.search(r"Worker \d+ \([^)]*other:app", shown.stdout)
        assert one.stop() == two.stop() == 0


# -- checks and notes before a start (C1, C11, E2, F6, F7, F8, G11)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bind", "127.0.0.1:1", "--port", "2"], "cannot be combined with flag --bind"),
        (["--uds", "missing/a.sock"], "the directory of 'missing/a.sock' does not exist"),
        (["--bind", "unix:missing/a.sock"], "the directory of 'missing/a.sock' does not exist"),
        (["--admin-bind", "127.0.0.1:8000"], "is the address of the service itself"),
        (["--admin-bind", "127.0.0.1:81", "--bind", "0.0.0.0:81"], "is the address of the service"),
        (["--admin-bind", "unix:/tmp/a", "--uds", "/tmp/a"], "is the address of the service"),
        (["--log-config", "broken.json"], "broken.json: cannot be parsed"),
    ],
)
def test_check_config_finds_what_a_start_would_find(
    place: Path, arguments: list[str], complaint: str
) -> None:
    (place / "broken.json").write_text("{")
    checked = command(place, "main:app", *arguments, "--check-config")
    assert checked.returncode == 2
    assert complaint in checked.stderr


@pytest.mark.parametrize(
    ("arguments", "library", "extra"),
    [
        (["--admin-bind", "127.0.0.1:9100"], "prometheus_client", "metrics"),
        (["--otel"], "opentelemetry", "otel"),
        (["--interface", "wsgi"], "a2wsgi", "wsgi"),
    ],
)
def test_check_config_finds_a_missing_extra(
    place: Path, arguments: list[str], library: str, extra: str
) -> None:
    code = (
        "import sys, importlib.util as u; f = u.find_spec\n"
        f"u.find_spec = lambda n, *a: None if n == {library!r} else f(n, *a)\n"
        "from katana_asgi.cli import main; main(sys.argv[1:])"
    )
    checked = subprocess.run(
        [sys.executable, "-c", code, "main:app", *arguments, "--check-config"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    )
    assert checked.returncode == 2
    assert f"katana-asgi[{extra}]" in checked.stderr


def test_what_others_set_does_not_stop_a_start_and_is_logged_once(place: Path) -> None:
    env = {
        "KATANA_PORT_80_TCP": "tcp://10.0.0.1:80",
        "KATANA_API_KEY": "x",
        "UVICORN_HOST": "0.0.0.0",
    }
    arguments = ("main:app", "--workers", "2", "--ws", "wsproto")
    with ServerProcess(*arguments, cwd=place, env=env) as server:
        assert get(server.wait_listening()) == "ok"
        assert server.stop() == 0
    for text in ("KATANA_PORT_80_TCP", "KATANA_API_KEY", "UVICORN_HOST", "'wsproto' means auto"):
        assert server.stderr.count(text) == 1
    assert server.stderr.count("WARNING:") == 4


def test_the_start_line_says_that_the_port_is_a_platforms(place: Path) -> None:
    with ServerProcess("main:app", cwd=place, env={"PORT": "0"}, port=False) as server:
        line = server.wait_for(r"Listening on http://0\.0\.0\.0:\d+ \(.*\)")[0]
        assert server.stop() == 0
    assert "port of PORT" in line


def test_a_factory_without_its_flag_serves_and_is_named(place: Path) -> None:
    with ServerProcess("main:create_app", cwd=place) as server:
        assert get(server.wait_listening()) == "ok"
        assert server.stop() == 0
    assert server.stderr.count("main:create_app is a factory and was called") == 1


def test_a_certificate_that_has_expired_is_a_warning(place: Path) -> None:
    trustme = pytest.importorskip("trustme")
    import datetime

    end = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    cert = trustme.CA().issue_cert("localhost", not_before=end.replace(year=2000), not_after=end)
    cert.private_key_and_cert_chain_pem.write_to_path(str(place / "cert.pem"))
    with ServerProcess("main:app", "--ssl-certfile", "cert.pem", cwd=place) as server:
        server.wait_listening()
        assert server.stop() == 0
    assert server.stderr.count("the certificate expired on ") == 1
    checked = command(place, "main:app", "--ssl-certfile", "cert.pem", "--check-config")
    assert checked.returncode == 0
    assert "warning: the certificate expired on" in checked.stderr


def test_sockets_of_a_service_manager_that_are_not_used_are_named(place: Path) -> None:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with activated([("web", sock)], "main:app", "--port", "0", cwd=place) as server:
            server.wait_listening()
            assert server.stop() == 0
    assert "LISTEN_FDS: 1 socket was passed but not used; use --bind systemd" in server.stderr


# -- logs of whole processes (D2, D5, D6)


def test_an_import_that_disables_loggers_and_raises_is_explained(place: Path) -> None:
    (place / "main.py").write_text(
        "import logging.config\nlogging.config.dictConfig({'version': 1})\nraise ValueError('why')"
    )
    ended = command(place, "main:app", "--port", "0")
    assert ended.returncode == 1
    assert "ValueError: why" in ended.stderr


def test_an_exception_names_its_request(place: Path) -> None:
    with ServerProcess("main:app", cwd=place) as server:
        url = server.wait_listening()
        with suppress(OSError):
            get(f"{url}/fail?a=b")
        line = server.wait_for(r"Exception in ASGI application.*")[0]
        assert server.stop() == 0
    assert "GET /fail" in line


def test_an_import_is_no_blocked_loop(place: Path) -> None:
    (place / "main.py").write_text(f"import time\ntime.sleep(0.5)\n{APPLICATION}")
    with ServerProcess("main:app", "--slow-request", "100ms", cwd=place) as server:
        get(server.wait_listening())
        assert server.stop() == 0
    assert "main.py" not in server.stderr  # what is blocked on a busy machine is not the import


# -- help (F9)


@pytest.mark.parametrize("flags", [[], ["-OO"]])
def test_headings_of_the_help_are_those_of_the_themes(flags: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, *flags, "-m", "katana_asgi", "--help-all"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    ).stdout
    headings = re.findall(r"^([A-Z].*):$", shown, re.MULTILINE)
    themes = list(dict.fromkeys(setting.theme for setting in SETTINGS.values()))
    assert headings == [*themes, "Configuration", "Commands"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(place: Path, shell: str) -> None:
    script = command(place, "completion", shell)
    assert script.returncode == 0
    assert "_KATANA_ASGI_COMPLETE" in script.stdout


def test_words_are_completed(place: Path) -> None:
    found = command(
        place,
        _KATANA_ASGI_COMPLETE="bash_complete",
        COMP_WORDS="katana-asgi --log-le",
        COMP_CWORD="1",
    )
    assert "--log-level" in found.stdout
    found = command(
        place, _KATANA_ASGI_COMPLETE="bash_complete", COMP_WORDS="katana-asgi to", COMP_CWORD="1"
    )
    assert "top" in found.stdout
