"""Reload: saved files reach clients, mistakes do not, and nobody's open stream holds it up."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from katana_asgi.supervisor.file_changes import counts, file_states
from tests.support import TIMEOUT, ServerProcess

APPLICATION = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] in ("http", "websocket")
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    if scope["path"] == "/stream":
        while True:
            await send({{"type": "http.response.body", "body": b"x", "more_body": True}})
            await asyncio.sleep(0.05)
    await send({{"type": "http.response.body", "body": b"{answer}"}})
"""


ENDLESS = "import sys, time; print('importing', file=sys.stderr); time.sleep(3600)\n"


def save(place: Path, answer: str) -> None:
    (place / "main.py").write_text(APPLICATION.format(answer=answer))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save(tmp_path, "one")
    return tmp_path


@pytest.fixture
def server(place: Path) -> Iterator[ServerProcess]:
    with ServerProcess("main:app", "--reload", cwd=place) as server:
        yield server
        assert server.stop() == 0


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return response.read().decode()  # type: ignore[no-any-return]


def get_until(url: str, answer: str) -> None:
    """Ask until the answer comes; no request may fail on the way."""
    deadline = time.monotonic() + 2 * TIMEOUT
    while get(url) != answer:
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


class Client(threading.Thread):
    """Asks again and again, on one connection until the server says close, or on a new one."""

    def __init__(self, url: str, *, keep_alive: bool) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.keep_alive = keep_alive
        self.answers: set[str] = set()
        self.failure: Exception | None = None
        self.done = threading.Event()

    def run(self) -> None:
        place = self.url.removeprefix("http://")
        try:
            while not self.done.is_set():
                with closing(HTTPConnection(place, timeout=TIMEOUT)) as connection:
                    self._ask(connection)
        except Exception as error:  # noqa: BLE001 - the test asserts that there was none
            self.failure = error

    def _ask(self, connection: HTTPConnection) -> None:
        while not self.done.is_set():
            connection.request("GET", "/")
            response = connection.getresponse()
            self.answers.add(response.read().decode())
            if response.will_close or not self.keep_alive:
                return


@pytest.fixture
def clients(server: ServerProcess) -> Iterator[list[Client]]:
    url = server.wait_listening()
    clients = [Client(url, keep_alive=kept) for kept in (True, True, False, False)]
    for client in clients:
        client.start()
    yield clients
    for client in clients:
        client.done.set()
    for client in clients:
        client.join(TIMEOUT)


def assert_all_get(clients: list[Client], answer: str) -> None:
    """Each client comes to this answer, without a failure since it began."""
    deadline = time.monotonic() + 2 * TIMEOUT
    for client in clients:
        while answer not in client.answers:
            assert client.failure is None
            assert time.monotonic() < deadline, answer
            time.sleep(0.01)
    for client in clients:
        client.done.set()
    for client in clients:
        client.join(TIMEOUT)
        assert client.failure is None


def test_no_request_fails_during_ten_saves(
    server: ServerProcess, place: Path, clients: list[Client]
) -> None:
    url = clients[0].url
    answers = ["x" * length for length in range(1, 11)]  # each file is of another size
    for answer in answers:
        save(place, answer)
        get_until(url, answer)
    assert_all_get(clients, answers[-1])
    assert server.stderr.count("Reloading: main.py changed") >= len(answers)


def test_no_request_fails_where_a_save_comes_before_the_last_one_is_served(
    server: ServerProcess, place: Path, clients: list[Client]
) -> None:
    for number in range(1, 9):
        save(place, "y" * number)
        server.wait_for("Reloading: main.py changed")
    assert_all_get(clients, "y" * 8)


def test_an_import_error_is_shown_and_the_old_state_serves_until_it_is_mended(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    (place / "main.py").write_text("import nowhere_to_be_found\n")
    server.wait_for("nowhere_to_be_found")
    server.wait_for(r"worker 1 \[\d+\] goes on serving")
    assert get(url) == "one"
    save(place, "mended")
    get_until(url, "mended")


def test_an_open_stream_does_not_hold_it_up(server: ServerProcess, place: Path) -> None:
    url = server.wait_listening()
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as stream:
        stream.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.recv(1)
        save(place, "three")
        get_until(url, "three")
        while stream.recv(65536):  # the old worker ends although the client stays
            pass


def test_an_open_websocket_does_not_hold_it_up(server: ServerProcess, place: Path) -> None:
    url = server.wait_listening()
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as peer:
        peer.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert peer.recv(65536).startswith(b"HTTP/1.1 101 ")
        save(place, "three")
        get_until(url, "three")
        rest = b""
        while data := peer.recv(65536):  # never answered: the client does not say goodbye
            rest += data
        assert b"\x88" in rest
        assert (1012).to_bytes(2, "big") in rest


def test_a_first_start_that_fails_waits_for_its_correction(place: Path) -> None:
    (place / "main.py").write_text("this is no Python\n")
    with ServerProcess("main:app", "--reload", cwd=place) as server:
        server.wait_for("SyntaxError")
        server.wait_for("requests wait until a file changes")
        save(place, "mended")
        assert get(server.wait_listening()) == "mended"
        assert server.stop() == 0


def test_every_place_is_served_by_the_new_code(place: Path) -> None:
    path = place / "s"
    binds = ("--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--bind", f"unix:{path}")
    (place / "main.py").write_text("this is no Python\n")
    with (
        ServerProcess("main:app", "--reload", *binds, cwd=place, port=False) as server,
        closing(socket.socket(socket.AF_UNIX)) as peer,
    ):
        server.wait_for("requests wait until a file changes")
        peer.settimeout(TIMEOUT)
        peer.connect(str(path))
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        save(place, "mended")
        assert read_all(peer).endswith(b"mended")
        urls = [server.wait_listening() for _ in range(3)]
        assert urls.pop() == f"unix:{path}"
        for url in urls:
            assert get(url) == "mended"
        save(place, "again")
        for url in urls:
            get_until(url, "again")
        assert server.stop() == 0
    assert not path.exists()


def test_an_import_that_does_not_end_is_given_up_for_the_next_change(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    (place / "main.py").write_text(ENDLESS)
    server.wait_for("^importing")
    assert get(url) == "one"
    save(place, "mended")
    get_until(url, "mended")


def test_a_first_import_that_does_not_end_waits_for_its_correction(place: Path) -> None:
    (place / "main.py").write_text(ENDLESS)
    with ServerProcess("main:app", "--reload", cwd=place) as server:
        server.wait_for("^importing")
        save(place, "mended")
        assert get(server.wait_listening()) == "mended"
        assert server.stop() == 0


def test_requests_of_a_worker_that_died_wait_for_the_next_change(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    (pid,) = re.findall(r"Worker 1 \[(\d+)\] is ready", server.stderr)
    os.kill(int(pid), signal.SIGKILL)
    server.wait_for(rf"Worker 1 \[{pid}\] died \(SIGKILL\) .*; requests wait until a file changes")
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        save(place, "three")
        assert read_all(client).endswith(b"three")


def test_no_change_is_missed_where_the_watcher_dies(server: ServerProcess, place: Path) -> None:
    pid = int(server.wait_for(r"Watcher of files \[(\d+)\] is ready")[1])
    url = server.wait_listening()
    os.kill(pid, signal.SIGSTOP)
    save(place, "two")
    os.kill(pid, signal.SIGKILL)
    server.wait_for(rf"Watcher of files \[{pid}\] died \(SIGKILL\) .*; replacing it now")
    get_until(url, "two")
    save(place, "three")
    get_until(url, "three")


def test_signals_of_a_service_change_nothing_but_log_files(
    server: ServerProcess, place: Path
) -> None:
    url = server.wait_listening()
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGUSR2, signal.SIGUSR1):
        server.signal(number)
    server.wait_for("All log files reopened")
    save(place, "three")
    get_until(url, "three")
    assert server.stderr.count("Started worker") == 2


def test_code_is_new_although_the_settings_ask_for_preload(place: Path) -> None:
    with ServerProcess("main:app", "--reload", "--preload", cwd=place) as server:
        url = server.wait_listening()
        save(place, "three")
        get_until(url, "three")
        assert server.stop() == 0


def test_include_and_exclude() -> None:
    roots = [Path("/app")]
    exclude = (".*", "*_test.py", "generated")

    def is_counted(name: str) -> bool:
        return counts(Path(name), roots, ("*.py", "*.html"), exclude)

    assert is_counted("/app/main.py")
    assert is_counted("/app/deep/down/page.html")
    assert not is_counted("/app/main.txt")
    assert not is_counted("/app/.venv/lib/main.py")
    assert not is_counted("/app/generated/main.py")
    assert not is_counted("/app/main_test.py")
    assert not is_counted("/elsewhere/main.py")


def test_a_hidden_directory_above_the_root_does_not_matter() -> None:
    assert counts(
        Path("/home/.hidden/app/main.py"), [Path("/home/.hidden/app")], ("*.py",), (".*",)
    )


NO_WATCHFILES = """
import sys
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "watchfiles":
            raise ModuleNotFoundError("No module named 'watchfiles'", name=name)
sys.meta_path.insert(0, Refuse())
from katana_asgi.cli import main
main(sys.argv[1:])
"""


def test_without_watchfiles_the_files_are_polled(place: Path) -> None:
    command = (sys.executable, "-c", NO_WATCHFILES)
    with ServerProcess("main:app", "--reload", cwd=place, command=command) as server:
        server.wait_for(
            r"Files are polled every 0.25 s: watchfiles is not installed \(extra reload\)"
        )
        url = server.wait_listening()
        (place / "package").mkdir()
        (place / "package/other.py").write_text("value = 1")
        server.wait_for(r"Reloading: package/other\.py changed")
        save(place, "three")
        server.wait_for(r"Reloading: main\.py changed")
        get_until(url, "three")
        (place / "package/other.py").unlink()
        server.wait_for(r"Reloading: package/other\.py changed")
        assert server.stop() == 0


def test_a_directory_that_cannot_be_read_is_passed_over(tmp_path, monkeypatch) -> None:
    """Such as that of a database, which belongs to another user."""
    save(tmp_path, "one")
    (tmp_path / "pgdata").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/module.py").touch()
    listed = []

    def scandir(path):
        if Path(path).name == "pgdata":
            raise PermissionError(13, "Permission denied")
        listed.append(Path(path).name)
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    states = file_states([tmp_path], (".*",), lambda path: path.suffix == ".py")
    assert list(states) == [str(tmp_path / "main.py")]
    assert listed == [tmp_path.name], "what is excluded is not read at all"


REFUSED = """
import sys, watchfiles
def watch(*paths, **options):
    raise PermissionError("Permission denied about pgdata")
watchfiles.watch = watch
from katana_asgi.cli import main
main(sys.argv[1:])
"""


def test_what_the_system_cannot_watch_is_polled(place: Path) -> None:
    command = (sys.executable, "-c", REFUSED)
    with ServerProcess("main:app", "--reload", cwd=place, command=command) as server:
        server.wait_for("Files are polled every 0.25 s: Permission denied about pgdata")
        url = server.wait_listening()
        save(place, "three")
        get_until(url, "three")
        assert server.stop() == 0


def test_a_signal_for_a_service_says_that_there_is_nothing_to_do(server: ServerProcess) -> None:
    server.wait_listening()
    for name in ("SIGHUP", "SIGTTIN", "SIGUSR2"):
        server.signal(signal.Signals[name])
        server.wait_for(f"Received {name}: nothing to do with --reload")
