"""Signals as requests to stop, and what was there before as it was."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from katana_asgi import Server
from katana_asgi.worker.channel import ONE_STOP, ShutdownMode
from katana_asgi.worker.signals import STOP_SIGNALS, stop_on_signals
from tests.support import within


class Stoppable:
    """Notes how it is asked to stop."""

    def __init__(self, started: bool = True) -> None:
        self.started = started
        self.asked: asyncio.Queue[bool] = asyncio.Queue()

    def stop(self, *, force: bool = False, mode: ShutdownMode = ShutdownMode.PROMPT) -> None:
        self.asked.put_nowait(force)


async def again(number: signal.Signals, server: Stoppable) -> bool:
    """Send a signal until it counts: the same one soon after the first does not."""
    while server.asked.empty():
        os.kill(os.getpid(), number)
        await asyncio.sleep(ONE_STOP + 0.1)
    return await server.asked.get()


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOP_SIGNALS]


@pytest.mark.parametrize("first", STOP_SIGNALS)
@pytest.mark.parametrize("second", STOP_SIGNALS)
async def test_the_first_signal_asks_and_the_second_forces(first, second, caplog):
    caplog.set_level(logging.INFO, "katana_asgi.error")
    server = Stoppable()
    with stop_on_signals(server):
        os.kill(os.getpid(), first)
        assert await within(server.asked.get()) is False
        assert await within(again(second, server)) is True
    assert caplog.messages == [
        f"Received {first.name}, stopping",
        f"Received {second.name}, stopping at once",
    ]


@pytest.mark.parametrize("started", [True, False])
async def test_only_a_worker_that_serves_says_that_a_signal_stops_it(started, caplog):
    caplog.set_level(logging.INFO, "katana_asgi.error")
    server = Stoppable(started)
    with stop_on_signals(server, force=False):  # as under a supervisor
        os.kill(os.getpid(), signal.SIGTERM)
        assert await within(server.asked.get()) is False
    assert caplog.messages == ["Received SIGTERM, stopping"] * started


async def test_the_handlers_of_before_are_put_back():
    def mine(number, frame):
        raise AssertionError("not to be called")

    before = handlers()
    try:
        signal.signal(signal.SIGTERM, mine)
        with stop_on_signals(Stoppable()):
            assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)


async def test_only_the_signals_asked_for_are_taken():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(Stoppable(), (signal.SIGTERM,)):
        assert signal.getsignal(signal.SIGINT) is before


async def test_outside_the_main_thread_nothing_is_done():
    before = handlers()

    async def elsewhere():
        with stop_on_signals(Stoppable()):
            return handlers()

    assert await asyncio.to_thread(lambda: asyncio.run(elsewhere())) == before


async def test_a_server_stops_on_a_signal_and_leaves_the_handlers_alone_after():
    async def app(scope, receive, send):
        raise NotImplementedError

    before = handlers()
    server = Server(app, port=0, access_log=False)
    serving = asyncio.ensure_future(server.serve())
    await within(server.wait_started())
    assert handlers() != before
    os.kill(os.getpid(), signal.SIGTERM)
    await within(serving)
    assert handlers() == before


async def test_a_server_told_so_does_not_touch_signals():
    async def app(scope, receive, send):
        raise NotImplementedError

    before = handlers()
    server = Server(app, port=0, access_log=False)
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(server.wait_started())
    assert handlers() == before
    server.stop()
    await within(serving)


async def test_the_same_signal_to_process_and_group_counts_once(caplog):
    caplog.set_level(logging.INFO, "katana_asgi.error")
    server = Stoppable()
    with stop_on_signals(server):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await within(server.asked.get()) is False
        await asyncio.sleep(0.05)
        assert server.asked.empty()
    assert caplog.messages == ["Received SIGTERM, stopping"]
