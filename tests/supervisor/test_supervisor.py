"""The supervisor as a real process with real workers, seen from outside.

The pipe of standard output belongs to the supervisor and to every worker: that it comes to
its end shows that no process is left.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from katana_asgi.config.model import Config
from katana_asgi.errors import StartupError
from katana_asgi.supervisor.orders import ONE_STOP
from katana_asgi.supervisor.supervisor import Supervisor

PROGRAM = Path(__file__).with_name("supervised.py")
ROOT = PROGRAM.parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


class Service:
    """A supervisor process; reads its lines."""

    def __init__(self, plan: str, **settings: Any) -> None:
        words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), plan, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            pass_fds=[settings["fd"]] if "fd" in settings else [],
        )
        self.lines: list[str] = []
        self.ended = False

    def expect(self, pattern: str) -> re.Match[str]:
        """Read lines until one matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if match := re.search(pattern, line):
                return match
        pytest.fail(f"no line matches {pattern!r}:\n{self.text}")

    def expect_workers(self, count: int) -> list[int]:
        """Read until ``count`` more workers are ready; return their process ids."""
        return [int(self.expect(r"\[(\d+)\] is ready")[1]) for _ in range(count)]

    def expect_port(self) -> int:
        """Read until the first worker is ready; return the port."""
        return int(self.expect(r"Listening on http://127.0.0.1:(\d+) \(\d+ workers?\)")[1])

    def ready_workers(self) -> list[int]:
        """Return the process ids of the workers that became ready in the lines read so far."""
        return [int(pid) for pid in re.findall(r"\[(\d+)\] is ready", self.text)]

    def end(self) -> int:
        """Read to the end, which comes when the last process has gone; return the status."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        self.ended = True
        return self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def signal_again(self, number: signal.Signals) -> None:
        """Signal until the process ends: the same signal soon after the first counts once."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ONE_STOP + 0.1)
                return
            self.signal(number)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.text, re.MULTILINE))


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def start_one(plan: str, **settings: Any) -> Service:
        services.append(Service(plan, **settings))
        return services[-1]

    yield start_one
    for service in services:
        if not service.ended:
            with suppress(ProcessLookupError):
                os.killpg(service.process.pid, signal.SIGKILL)  # a group of its own session
        service.process.communicate()


def ask(port: int, request: bytes = b"?") -> int:
    """Connect and return the id of the process that answers."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request)
        return int(client.makefile().readline())


# Starting


def test_every_slot_gets_a_worker_and_the_address_is_said_once(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=3)
    service.expect(r"^Started supervisor \[\d+\]$")
    port = service.expect_port()
    service.expect_workers(2)  # the first made the address known
    workers = set(service.ready_workers())
    assert ask(port) in workers
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert len(workers) == 3
    assert service.count("Listening on") == 1
    assert service.lines[-2].startswith("Stopped supervisor")


def test_all_slots_share_the_port_and_every_worker_gets_connections(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=2)
    port = service.expect_port()
    service.expect_workers(1)
    answered = {ask(port) for _ in range(64)}  # by chance a single one: once in 2^63
    assert len(answered) == 2


def test_a_worker_has_default_signals_and_outlives_ctrl_c(start: Callable[..., Service]) -> None:
    service = start("t", workers=1)
    service.expect(r"signal SIGTERM default")
    service.expect(r"signal SIGINT handled")
    service.expect(r"signal SIGCHLD default")
    service.expect(r"blocked 0")


def test_exit_functions_run_where_they_were_registered(start: Callable[..., Service]) -> None:
    service = start("t", workers=2)
    service.expect_workers(2)
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert service.count("exit function of the worker") == 2
    assert service.count("exit function of the supervisor") == 1


def test_an_address_in_use_is_a_startup_error(start: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = start("s", workers=2, port=port)
        assert service.end() == 1
    assert (
        f"startup error 1 cannot listen on 127.0.0.1:{port}: the address is in use" in service.lines
    )
    assert service.count("Started") == 0


def test_heartbeats_and_unknown_messages_disturb_nothing(start: Callable[..., Service]) -> None:
    service = start("h", workers=1)
    service.expect_workers(1)
    service.signal(signal.SIGTERM)
    assert service.end() == 0


def test_it_refuses_a_system_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(StartupError, match="needs POSIX"):
        Supervisor(Config(app="a:b", workers=2, port=0)).run()


def test_it_refuses_a_thread_which_python_gives_no_signals() -> None:
    refused: list[StartupError] = []

    def run() -> None:
        with pytest.raises(StartupError) as raised:
            Supervisor(Config(app="a:b", workers=2, port=0)).run()
        refused.append(raised.value)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert str(refused[0]) == "more than one worker needs the main thread"


# Failing to start


@pytest.mark.parametrize(
    ("plan", "status", "reason"),
    [
        ("f", 3, "lifespan says no"),
        ("r", 5, "no such module"),
        ("z", 1, "ZeroDivisionError: of course"),
        ("x", 6, "exit status 6"),
        ("k", 1, "SIGKILL"),
        ("e", 1, "exit status 0"),
        ("d", 1, None),  # was ready: no failed start but a crash loop
    ],
)
def test_a_failed_first_start_stops_the_service_with_the_workers_status(
    start: Callable[..., Service], plan: str, status: int, reason: str | None
) -> None:
    service = start(plan, workers=1)
    assert service.end() == status
    if reason is not None:
        assert service.count(rf"^Worker 1 \[\d+\] failed to start: {re.escape(reason)}$") == 1
        assert service.count("^Started worker") == 1


def test_workers_that_did_start_are_stopped_when_another_fails(
    start: Callable[..., Service],
) -> None:
    service = start("gw", workers=2)
    assert service.end() == 3
    assert service.count(r"^Worker \d \[\d+\] failed to start: lifespan says no$") == 1
    assert service.count(r"^Worker \d \[\d+\] ended") == 1


def test_a_worker_that_is_not_ready_in_time_has_failed(start: Callable[..., Service]) -> None:
    service = start("n", workers=1, timeout_startup=0.2)
    assert service.end() == 1
    assert service.count(r"^Worker 1 \[\d+\] failed to start: not ready within 0.2 s$") == 1


def test_the_time_to_start_does_not_bound_the_time_to_serve(start: Callable[..., Service]) -> None:
    # The second worker runs into the limit; the first, ready long before, does not.
    service = start("sn", workers=2, timeout_startup=1.0)
    assert service.end() == 1
    assert service.count(r"^Killing worker") == 1
    assert service.count(r"^told \d+ stop$") == 1


# Dying and being replaced


def test_a_killed_worker_is_replaced_and_the_connections_in_its_queue_are_answered(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=1)
    port = service.expect_port()
    (first,) = service.ready_workers()
    os.kill(first, signal.SIGSTOP)  # from here on it accepts nothing
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"?")
        os.kill(first, signal.SIGKILL)
        service.expect(
            rf"^Worker 1 \[{first}\] died \(SIGKILL\) after \d+\.\d s; replacing it now$"
        )
        (second,) = service.expect_workers(1)
        assert int(waiting.makefile().readline()) == second != first
    service.signal(signal.SIGTERM)
    assert service.end() == 0


def test_only_the_slot_of_the_dead_worker_starts_again(start: Callable[..., Service]) -> None:
    service = start("s", workers=2)
    workers = service.expect_workers(2)
    os.kill(workers[0], signal.SIGKILL)
    (replacement,) = service.expect_workers(1)
    assert replacement not in workers
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert service.count("^Started worker") == 3
    assert {f"told {pid} stop" for pid in (workers[1], replacement)} <= set(service.lines)


def test_a_crash_loop_ends_the_service(start: Callable[..., Service]) -> None:
    service = start("d", workers=1)
    assert service.end() == 1
    assert service.count(r"died \(exit status 7\)") == 5
    assert service.count("^Giving up: worker 1 ended 5 times in a row") == 1
    assert service.count("replacing it now") == 1
    assert service.count("replacing it in") == 3


def test_a_crash_loop_of_one_slot_stops_the_workers_of_the_others(
    start: Callable[..., Service],
) -> None:
    service = start("sd", workers=2)
    assert service.end() == 1
    assert service.count(r"^Giving up: worker \d ended") == 1
    assert service.count(r"^told \d+ stop$") == 1


def test_a_replacement_that_fails_to_start_is_tried_again(start: Callable[..., Service]) -> None:
    service = start("sfrs", workers=1)
    (first,) = service.expect_workers(1)
    os.kill(first, signal.SIGKILL)
    service.expect("failed to start: lifespan says no; replacing it in 0.1 s")
    service.expect("failed to start: no such module; replacing it in 0.2 s")
    service.expect_workers(1)
    service.signal(signal.SIGTERM)
    assert service.end() == 0


def test_replacements_that_never_start_are_a_crash_loop(start: Callable[..., Service]) -> None:
    service = start("sf", workers=1)
    (first,) = service.expect_workers(1)
    os.kill(first, signal.SIGKILL)
    assert service.end() == 1
    assert service.count("failed to start: lifespan says no") == 4
    assert service.count("^Giving up") == 1


def test_a_retiring_worker_drains_while_its_replacement_serves_on_the_same_socket(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=1)
    port = service.expect_port()
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.sendall(b"r")
        first = int(last.makefile().readline())
        service.expect(rf"^Worker 1 \[{first}\] retires")
        (second,) = service.expect_workers(1)
        assert ask(port) == second != first
    service.expect(rf"^Worker 1 \[{first}\] ended \(exit status 0\)$")
    assert ask(port) == second
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert service.count("^Started worker") == 2


def test_retiring_again_and_again_is_no_crash_loop(start: Callable[..., Service]) -> None:
    service = start("s", workers=1)
    port = service.expect_port()
    seen = set()
    for _ in range(7):
        seen.add(ask(port, b"r"))
        service.expect_workers(1)
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert len(seen) == 7


def test_a_retiring_worker_that_does_not_end_is_killed(start: Callable[..., Service]) -> None:
    service = start("s", workers=1, timeout_graceful_shutdown=0, grace=0.2)
    port = service.expect_port()
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.sendall(b"r")
        first = int(last.makefile().readline())
        service.expect(rf"^Killing worker 1 \[{first}\]: not drained within 0.2 s$")
        service.expect(rf"^Worker 1 \[{first}\] ended \(SIGKILL\)$")
    service.signal(signal.SIGTERM)
    assert service.end() == 0


def test_retired_workers_that_drain_for_long_do_not_pile_up(start: Callable[..., Service]) -> None:
    service = start("s", workers=1)
    port = service.expect_port()
    with ExitStack() as clients:
        retired = []
        for _ in range(4):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"r")
            retired.append((client, int(client.makefile().readline())))
            service.expect(rf"\[{retired[-1][1]}\] retires")
            if len(retired) < 4:
                service.expect_workers(1)
        oldest, pid = retired[0]
        oldest.shutdown(socket.SHUT_WR)
        # The four drain, so the fifth starts only now that one of them has ended.
        service.expect(rf"^Worker 1 \[{pid}\] ended")
        assert service.count("^Started worker") == 4
        service.expect_workers(1)
        assert service.count("^Started worker") == 5
        service.signal(signal.SIGTERM)
    assert service.end() == 0


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_every_worker_in_order(
    start: Callable[..., Service], number: signal.Signals
) -> None:
    service = start("s", workers=2)
    workers = service.expect_workers(2)
    service.signal(number)
    assert service.end() == 0
    assert f"Received {number.name}, stopping" in service.lines
    assert {f"told {pid} stop" for pid in workers} <= set(service.lines)
    assert service.count(r"ended \(exit status 0\)") == 2


def test_ctrl_c_reaches_the_workers_through_the_supervisor_alone(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=2)
    service.expect_workers(2)
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.end() == 0
    assert service.count(r"^told \d+ stop$") == 2


def test_a_worker_that_is_still_importing_is_stopped_at_once(start: Callable[..., Service]) -> None:
    service = start("n", workers=1, timeout_graceful_shutdown=3600)
    service.expect("^importing")
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert service.count(r"ended \(SIGTERM\)") == 1


def test_a_worker_that_does_not_stop_in_time_is_killed(start: Callable[..., Service]) -> None:
    service = start("is", workers=2, timeout_graceful_shutdown=0.1, grace=0.1)
    service.expect_workers(2)
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert service.count(r"^Killing worker \d \[\d+\]: not stopped within 0.2 s$") == 1
    assert service.count(r"ended \(SIGKILL\)") == 1
    assert service.count(r"ended \(exit status 0\)") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_kills_at_once(
    start: Callable[..., Service], number: signal.Signals
) -> None:
    service = start("i", workers=2, timeout_graceful_shutdown=3600)
    service.expect_workers(2)
    service.signal(number)
    service.expect("stopping")
    service.signal_again(number)
    assert service.end() == 128 + number
    assert service.count(r"ended \(SIGKILL\)") == 2


def test_a_signal_between_death_and_replacement_stops_too(start: Callable[..., Service]) -> None:
    service = start("sffs", workers=1)
    (first,) = service.expect_workers(1)
    os.kill(first, signal.SIGKILL)
    service.expect("replacing it in 0.2 s")
    service.signal(signal.SIGTERM)
    assert service.end() == 0


# Disasters


def test_workers_learn_that_the_supervisor_has_been_killed(start: Callable[..., Service]) -> None:
    service = start("s", workers=3)
    workers = service.expect_workers(3)
    service.signal(signal.SIGKILL)
    service.end()
    assert {f"orphan {pid}" for pid in workers} <= set(service.lines)


def test_no_worker_is_left_when_the_supervisor_itself_fails(start: Callable[..., Service]) -> None:
    service = start("i", workers=2, fault=True)
    assert service.end() == 1
    assert "LookupError: the supervisor itself fails" in service.lines
    assert service.count("^Started worker") == 2


def test_no_worker_is_left_when_the_system_has_no_room_for_all(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start("i", workers=16, uds=str(tmp_path / "app.sock"), descriptors=16)
    assert service.end() == 1
    assert (
        service.count("^startup error 1 cannot start a worker process: there are no file desc") == 1
    )
    assert 0 < service.count("^Started worker") < 16
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="changes the limits of another process")
def test_a_replacement_that_the_system_has_no_room_for_is_tried_again_like_any_other(
    start: Callable[..., Service],
) -> None:
    service = start("s", workers=1)
    (first,) = service.expect_workers(1)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (4, 4))
    os.kill(first, signal.SIGKILL)
    assert service.end() == 1
    assert service.count("^Worker 1 cannot be started: there are no file descriptors left") == 4
    assert service.count("^Giving up") == 1


# Other sockets


def test_workers_share_a_unix_socket_whose_file_goes_with_the_service(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    path = tmp_path / "app.sock"
    service = start("s", workers=2, uds=str(path))
    service.expect(rf"Listening on unix:{path} ")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"?")
        assert int(client.makefile().readline()) > 0
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert not path.exists()


def test_workers_share_an_inherited_socket(start: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        service = start("s", workers=2, fd=inherited.fileno())
        service.expect_workers(2)
        assert ask(inherited.getsockname()[1]) > 0
        service.signal(signal.SIGTERM)
        assert service.end() == 0
