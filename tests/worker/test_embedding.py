"""Servers in programs of their own: how they start, stop and are told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from katana_asgi import Config, Server, run, serve
from katana_asgi.errors import StartupError
from katana_asgi.testing import HttpPeer
from tests.applications import get, respond
from tests.ports import free_port
from tests.support import ROOT, TIMEOUT, within

SETTINGS = {"port": 0, "access_log": False}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await respond(send, b"ok")


async def failing_lifespan(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_signal_ends_every_server_of_the_program(number):
    servers = [Server(app, **SETTINGS) for _ in range(3)]
    serving = asyncio.gather(*(server.serve() for server in servers))
    for server in servers:
        await within(server.wait_started())
    os.kill(os.getpid(), number)
    await within(serving)
    assert all(server.should_exit for server in servers)


async def test_one_signal_ends_a_server_in_another_thread_too():
    here, there = Server(app, **SETTINGS), Server(app, **SETTINGS)
    thread = threading.Thread(target=lambda: asyncio.run(there.serve()))
    serving = asyncio.ensure_future(here.serve())
    await within(here.wait_started())
    thread.start()
    while not there.started:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await within(serving)
    await within(asyncio.to_thread(thread.join))
    assert there.should_exit


async def test_a_server_that_ends_first_leaves_the_signals_to_the_other():
    one, other = Server(app, **SETTINGS), Server(app, **SETTINGS)
    before = signal.getsignal(signal.SIGTERM)
    serving = [asyncio.ensure_future(each.serve()) for each in (one, other)]
    for each in (one, other):
        await within(each.wait_started())
    one.stop()
    await within(serving[0])
    assert other.started
    os.kill(os.getpid(), signal.SIGTERM)
    await within(serving[1])
    assert signal.getsignal(signal.SIGTERM) == before


async def test_the_handler_of_the_signals_knows_whether_to_exit():
    """As sse-starlette finds it, to end its streams."""
    server = Server(app, **SETTINGS)
    serving = asyncio.ensure_future(server.serve())
    await within(server.wait_started())
    owner = signal.getsignal(signal.SIGTERM).__self__
    assert owner.should_exit is False
    server.stop()
    assert owner.should_exit is True
    await within(serving)


@pytest.mark.parametrize("name", ["should_exit", "force_exit"])
async def test_setting_a_property_stops_the_server(name):
    server = Server(app, **SETTINGS)
    assert getattr(server, name) is False
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(server.wait_started())
    setattr(server, name, True)
    assert getattr(server, name) is True
    await within(serving)
    assert server.should_exit


async def test_should_exit_through_the_handler_stops_every_server():
    servers = [Server(app, **SETTINGS) for _ in range(2)]
    serving = asyncio.gather(*(server.serve() for server in servers))
    for server in servers:
        await within(server.wait_started())
    signal.getsignal(signal.SIGTERM).__self__.should_exit = True
    await within(serving)
    assert all(server.should_exit for server in servers)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("force", [False, True])
async def test_stop_from_another_thread_acts_at_once(debug, force):
    loop = asyncio.get_running_loop()
    loop.set_debug(debug)
    server = Server(app, **SETTINGS)
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(server.wait_started())
    woken = loop.create_future()
    # The loop sleeps in its selector: only what the thread does can wake it.
    thread = threading.Thread(
        target=lambda: (server.stop(force=force), loop.call_soon_threadsafe(woken.cancel))
    )
    thread.start()
    await within(serving)
    thread.join()
    assert server.force_exit is force


@pytest.mark.parametrize("asked", ["before", "while starting"])
async def test_a_stop_before_the_start_is_over_is_said_to_who_waits(asked):
    begun = asyncio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await asyncio.Event().wait()

    server = Server(slow, **SETTINGS)
    waiting = asyncio.ensure_future(server.wait_started())
    if asked == "before":
        server.stop()
    serving = asyncio.ensure_future(server.serve(signals=False))
    if asked == "while starting":
        await within(begun.wait())
        server.stop()
    await within(serving)
    with pytest.raises(StartupError, match="stopped before"):
        await within(waiting)


async def test_waiting_for_the_start_raises_what_kept_it_from_coming():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for settings, reason in (
            ({"app": app, "port": port}, "in use"),
            ({"app": "no_such_module:app", "port": 0}, "could not import"),
            ({"app": failing_lifespan, "port": 0}, "no database"),
        ):
            server = Server(Config(access_log=False, **settings))
            serving = asyncio.ensure_future(server.serve(signals=False))
            with pytest.raises(StartupError, match=reason):
                await within(server.wait_started())
            with pytest.raises(StartupError, match=reason):
                await within(serving)


@pytest.mark.parametrize("application", [app, failing_lifespan])
async def test_a_server_in_a_thread_is_waited_for_in_another_loop(application):
    server = Server(application, **SETTINGS)
    with ThreadPoolExecutor(1) as threads:
        served = threads.submit(server.run)
        # The loop sleeps in its selector: only the other thread, or this, can wake it.
        too_late = asyncio.get_running_loop().call_later(TIMEOUT, lambda: None)
        if application is failing_lifespan:
            with pytest.raises(StartupError, match="no database"):
                await server.wait_started()
        else:
            await server.wait_started()
            stopping = asyncio.ensure_future(server.wait_stopping())
            await asyncio.sleep(0)
            server.stop()
            await stopping
        assert asyncio.get_running_loop().time() < too_late.when()
        too_late.cancel()
        assert isinstance(served.exception(TIMEOUT), StartupError | None)


async def test_waiting_for_the_start_of_a_cancelled_server_raises():
    async def slow(scope, receive, send):
        await asyncio.Event().wait()

    server = Server(slow, **SETTINGS)
    serving = asyncio.ensure_future(server.serve(signals=False))
    waiting = asyncio.ensure_future(server.wait_started())
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(serving)
    with pytest.raises(StartupError, match="cancelled"):
        await within(waiting)


async def test_waiting_for_the_start_of_a_server_that_has_ended_raises():
    server = Server(app, **SETTINGS)
    async with server:
        await within(server.wait_started())
    with pytest.raises(StartupError, match="has stopped"):
        await within(server.wait_started())


async def test_run_has_a_loop_of_its_own():
    server = Server(app, **SETTINGS)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        await asyncio.sleep(0.01)
    async with await HttpPeer.open(*server.addresses[0]) as client:
        await client.send(get())
        assert (await client.response()).body == b"ok"
    server.should_exit = True
    await within(asyncio.to_thread(thread.join))
    assert not server.started


async def test_run_inside_a_running_loop_names_serve():
    with pytest.raises(RuntimeError, match=r"await server\.serve\(\)"):
        Server(app, **SETTINGS).run()
    with pytest.raises(RuntimeError, match=r"await katana_asgi\.serve\("):
        run(app, **SETTINGS)


PROGRAM = """
import asyncio, sys, time
from katana_asgi import Server, serve

async def app(scope, receive, send):
    raise NotImplementedError

async def main():
    servers = [Server(app, port=0) for _ in range(2)]
    serving = asyncio.gather(*(server.serve() for server in servers))
    for server in servers:
        await server.wait_started()
    print("both", flush=True)
    await serving

asyncio.run(main())
print("over", flush=True)
"""


def test_ctrl_c_ends_a_program_with_two_servers():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "both\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=TIMEOUT)[0] == "over\n"
        assert process.returncode == 0


async def test_two_calls_of_serve_end_together():
    ports = [free_port(), free_port()]
    serving = asyncio.gather(*(serve(app, port=port, access_log=False) for port in ports))
    for port in ports:
        while True:
            try:
                async with await HttpPeer.open("127.0.0.1", port):
                    pass
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await within(serving)
