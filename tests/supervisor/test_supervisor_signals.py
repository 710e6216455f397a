"""Signals as readable events, in this process."""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from katana_asgi.errors import StartupError
from katana_asgi.supervisor.signals import SignalWatch, describe_signal, held_back
from tests.support import TIMEOUT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def test_signals_arrive_in_order_and_wake_the_loop() -> None:
    with SignalWatch() as watch:
        assert watch.read() == []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.raise_signal(number)
        assert select.select([watch], [], [], TIMEOUT)[0] == [watch]
        assert watch.read() == [15, 2, 15, signal.SIGCHLD]
        assert watch.read() == []


def test_what_was_there_before_is_put_back() -> None:
    def handler(number: int, frame: object) -> None:
        """Stand for the handler of an embedding program."""

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        with SignalWatch() as watch:
            assert handler not in [signal.getsignal(number) for number in numbers]
            descriptor = watch.fileno()
        assert [signal.getsignal(number) for number in numbers] == [handler] * 3
        assert signal.set_wakeup_fd(-1) == -1
        with pytest.raises(OSError):
            os.fstat(descriptor)
    finally:
        for number, earlier in zip(numbers, before, strict=True):
            signal.signal(number, earlier)


def test_a_thread_cannot_watch() -> None:
    refused: list[BaseException] = []

    def enter() -> None:
        try:
            SignalWatch().__enter__()
        except StartupError as error:
            refused.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(refused) == 1


def test_signals_held_back_come_afterwards() -> None:
    with SignalWatch() as watch:
        with held_back((signal.SIGTERM,)) as mask:
            assert signal.SIGTERM not in mask
            signal.raise_signal(signal.SIGTERM)
            assert watch.read() == []
        assert watch.read() == [signal.SIGTERM]


def test_a_signal_has_a_name_or_at_least_a_number() -> None:
    assert describe_signal(9) == "SIGKILL"
    assert describe_signal(40) == "signal 40"
