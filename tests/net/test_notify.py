"""Messages to a service manager, as it receives them."""

from __future__ import annotations

import os
import re
import socket
import sys
import time

import pytest

from katana_asgi.net.notify import Notifier
from tests.support import TIMEOUT


@pytest.fixture(
    params=[
        "path",
        pytest.param(
            "abstract",
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="abstract sockets are Linux's"
            ),
        ),
    ]
)
def manager(request, tmp_path):
    """The socket of a manager and its name in the environment."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@katana-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        sock.settimeout(TIMEOUT)
        yield sock, name


def test_each_message_is_one_datagram_of_lines(manager):
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("Listening")
    assert sock.recv(999) == b"READY=1\nMAINPID=%d\nSTATUS=Listening" % os.getpid()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    told = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=([0-9]+)", sock.recv(999))
    assert told is not None
    assert before <= int(told[1]) <= time.monotonic_ns() // 1000
    notifier.alive()
    assert sock.recv(999) == b"WATCHDOG=1"
    notifier.stopping()
    assert sock.recv(999) == b"STOPPING=1\nSTATUS=Stopping"
    notifier.close()
    notifier.ready("of a child")
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(999)


@pytest.mark.parametrize("name", ["", "/nonexistent/socket", "relative", "vsock:2:1234"])
def test_without_a_manager_nothing_happens(name):
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"} if name else {})
    notifier.ready("x")
    notifier.close()


def test_a_manager_that_does_not_read_holds_nothing_up(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager[1]})
    for _ in range(10_000):
        notifier.alive()
    notifier.close()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_this_processes(manager, variables, expected):
    notifier = Notifier({"NOTIFY_SOCKET": manager[1], **variables})
    assert notifier.watchdog == expected
    notifier.close()
