"""Processes that the application forks have clean signals and nothing of the server.

From handlers and from lifespan, on both loops, with one worker and with two.
"""

from __future__ import annotations

import ast
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from talk import ask, begin, read_response

from tests.support import TIMEOUT, ServerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FORKING = """
import asyncio, multiprocessing, os, signal, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor

fork = multiprocessing.get_context("fork")
state = {}

def double(number):
    return 2 * number

def report(queue):
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGURG")
    handlers = {name: signal.getsignal(getattr(signal, name)) for name in names}
    clean = all(each in (signal.SIG_DFL, signal.default_int_handler) for each in handlers.values())
    held = len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    queue.put((clean, signal.set_wakeup_fd(-1), held, os.getpid()))
    time.sleep(60)

async def thread(call, *arguments):
    return await asyncio.to_thread(call, *arguments)

async def answer(path):
    if path == "/terminate":
        found = []
        for _ in range(5):
            process = fork.Process(target=time.sleep, args=(60,))
            process.start()
            process.terminate()
            await thread(process.join, 8)
            found.append(process.exitcode)
        return found
    if path == "/pool":
        found = state["pool"].map(double, [1, 2])
        with fork.Pool(2) as pool:
            found += pool.map(double, [3])
        pool.join()
        return found
    if path == "/executor":
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(1, mp_context=fork) as executor:
            own = await loop.run_in_executor(executor, double, 1)
        return [own, await loop.run_in_executor(state["executor"], double, 2)]
    if path == "/subprocess":
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", "kill -INT $$; echo it goes on", stdout=subprocess.PIPE
        )
        output, _ = await shell.communicate()
        plain = subprocess.run(["true"], preexec_fn=os.getpid)
        sleeper = subprocess.Popen(["sleep", "60"])
        sleeper.send_signal(signal.SIGINT)
        return [shell.returncode, output, plain.returncode, await thread(sleeper.wait, 8)]
    if path == "/exit":
        pid = os.fork()
        if not pid:
            os._exit(7)
        return os.waitstatus_to_exitcode((await thread(os.waitpid, pid, 0))[1])
    if path == "/sys-exit":
        pid = os.fork()
        if not pid:
            sys.exit(9)
        return os.waitstatus_to_exitcode((await thread(os.waitpid, pid, 0))[1])
    if path == "/come-back":
        pid = os.fork()
        if not pid:
            return None
        return os.waitstatus_to_exitcode((await thread(os.waitpid, pid, 0))[1])
    if path == "/stay":
        queue = fork.SimpleQueue()
        process = state["process"] = fork.Process(target=report, args=(queue,))
        process.start()
        return await thread(queue.get)
    if path == "/fork":
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
        return pid
    if path == "/busy":
        state["executor"].submit(time.sleep, 60)
    return os.getpid()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        pid = os.fork()
        if not pid:
            sys.exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        state["pool"] = fork.Pool(1)
        state["executor"] = ProcessPoolExecutor(1, mp_context=fork)
        assert state["executor"].submit(double, 1).result() == 2
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = repr(await answer(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

EXPECTED = {
    "/terminate": [-signal.SIGTERM] * 5,
    "/pool": [2, 4, 6],
    "/executor": [2, 4],
    "/subprocess": [-signal.SIGINT, b"", 0, -signal.SIGINT],
    "/exit": 7,
    "/sys-exit": 9,
    "/come-back": 70,
}

EVERYWHERE = pytest.mark.parametrize(
    ("loop", "workers"), [("uvloop", "1"), ("uvloop", "2"), ("asyncio", "1"), ("asyncio", "2")]
)


def serve(directory: Path, loop: str, workers: str, *arguments: str) -> ServerProcess:
    (directory / "forking.py").write_text(FORKING)
    given = ("--loop", loop, "--workers", workers, *arguments)
    return ServerProcess("forking:app", *given, cwd=directory)


def result(url: str, path: str) -> Any:
    return ast.literal_eval(ask(url, path).decode())


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@EVERYWHERE
def test_what_an_application_does_with_processes_works(tmp_path, loop, workers):
    with serve(tmp_path, loop, workers) as server:
        url = server.wait_listening()
        for _ in range(2):
            assert {path: result(url, path) for path in EXPECTED} == EXPECTED
        assert server.stop() == 0
    assert "killed" not in server.stderr.lower()


@EVERYWHERE
def test_a_process_that_stays_has_clean_signals_and_keeps_nothing(tmp_path, loop, workers):
    with serve(tmp_path, loop, workers) as server, ExitStack() as clients:
        url = server.wait_listening()
        open_before = clients.enter_context(begin(url, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert read_response(open_before)[0] == 200
        clean, wakeup, held, child = result(url, "/stay")
        assert (clean, wakeup, held) == (True, -1, 0)
        forked = result(url, "/fork")
        try:
            # The end of a connection that was open at the fork reaches its client.
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            assert open_before.recv(1) == b""
            assert server.process.wait(TIMEOUT) == 0  # a child has our end of its output still
            assert time.monotonic() - began < TIMEOUT / 2
            assert not lives(child)  # it was a process of the service
            assert lives(forked)  # nothing knows of this one
            with closing(socket.socket()) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("127.0.0.1", int(url.rpartition(":")[2])))
                sock.listen()
        finally:
            os.kill(forked, signal.SIGKILL)
    assert "Killing" not in server.stderr


@EVERYWHERE
def test_a_busy_pool_does_not_hold_up_the_stop(tmp_path, loop, workers):
    with serve(tmp_path, loop, workers) as server:
        url = server.wait_listening()
        result(url, "/busy")
        server.signal(signal.SIGTERM)
        assert server.finish() == 0
        server.wait_for(r"Ending \d+ processes of the application")
    assert "Killing" not in server.stderr


def test_the_death_of_a_worker_is_seen_although_its_child_lives(tmp_path):
    with serve(tmp_path, "uvloop", "1", "--supervise") as server:
        url = server.wait_listening()
        forked, worker = result(url, "/fork"), result(url, "/")
        try:
            os.kill(worker, signal.SIGKILL)
            server.wait_for(r"Worker 1 \[\d+\] died \(SIGKILL\)")
            server.wait_for(r"Worker 1 \[\d+\] is ready")
            assert result(url, "/") != worker
            server.signal(signal.SIGTERM)
            assert server.process.wait(TIMEOUT) == 0
        finally:
            os.kill(forked, signal.SIGKILL)


def test_an_application_imported_before_the_fork_may_have_pools(tmp_path):
    with serve(tmp_path, "uvloop", "2", "--preload") as server:
        url = server.wait_listening()
        assert result(url, "/pool") == [2, 4, 6]
        assert server.stop() == 0
    assert "Killing" not in server.stderr


def test_a_child_of_an_embedded_server_lets_go_of_it(tmp_path):
    program = """
import asyncio, multiprocessing, socket, time
from katana_asgi import Server

async def app(scope, receive, send):
    raise NotImplementedError

async def main():
    async with Server(app, port=0) as server:
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        host, port = server.addresses[0]
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen()
    child.terminate()
    child.join()
    print("free", child.exitcode)

asyncio.run(main())
"""
    with ServerProcess(command=(sys.executable, "-c", program), cwd=tmp_path, port=False) as server:
        assert server.finish() == 0
    assert server.stdout == "free -15\n"


@pytest.mark.parametrize("arguments", [("--workers", "2"), ("--pid-file", "app.pid")])
def test_a_process_that_was_forked_by_the_import_keeps_nothing(tmp_path, arguments):
    (tmp_path / "importing.py").write_text(
        "import multiprocessing, time\n"
        "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "child.start()\n"
        "async def app(scope, receive, send): pass\n"
    )
    with ServerProcess("importing:app", *arguments, cwd=tmp_path) as server:
        url = server.wait_listening()
        server.signal(signal.SIGKILL)
        server.process.wait(TIMEOUT)
        deadline = time.monotonic() + TIMEOUT
        while True:  # workers see the death of their supervisor; their children go on
            with closing(socket.socket()) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(("127.0.0.1", int(url.rpartition(":")[2])))
                    sock.listen()
                    break
                except OSError:
                    assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_other_start_methods_work(tmp_path, method, workers):
    (tmp_path / "starting.py").write_text(f"""
import asyncio, multiprocessing
from concurrent.futures import ProcessPoolExecutor

def double(number):
    return 2 * number

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    context = multiprocessing.get_context("{method}")
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        body = b"%d" % await loop.run_in_executor(executor, double, 21)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
""")
    with ServerProcess("starting:app", "--workers", workers, cwd=tmp_path) as server:
        assert ask(server.wait_listening(), "/") == b"42"
        server.signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0


def test_a_signal_to_the_group_stops_no_worker(tmp_path):
    """SIGTTIN would, by its default."""
    with serve(tmp_path, "uvloop", "2") as server:
        url = server.wait_listening()
        for name in ("SIGTTIN", "SIGTTOU", "SIGHUP", "SIGUSR1"):
            server.signal(signal.Signals[name], group=True)
        server.wait_for("Reloaded: all")
        assert all(result(url, "/") for _ in range(8))
        server.signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0
