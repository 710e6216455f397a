"""A worker that is blocked, or dies, keeps nobody waiting in its queue."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from clients import Client, asked_once, open_clients, serving

from tests.support import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/net"), reason="elsewhere workers share their sockets"
)


@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_a_blocked_worker_does_not_keep_its_queue(place: Path, loop: str) -> None:
    server, url = serving(place, 2, "--loop", loop)
    with server:
        first = Client(url)
        blocked = first.ask()
        first.send(b"GET /block?2 HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for("blocking")
        # The kernel gives about half of them to the worker that does not accept.
        waiting = [Client(url) for _ in range(20)]
        for each in waiting:
            each.send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len({each.answer() for each in waiting} - {blocked}) == 1
        assert first.answer() == blocked
        deadline = time.monotonic() + TIMEOUT
        while asked_once(url, 1) != [blocked]:  # it is back
            assert time.monotonic() < deadline
        server.stop()
        assert "Traceback" not in server.stderr


def test_a_worker_that_dies_leaves_what_waits_to_others(place: Path) -> None:
    """What was in its queue, and what was passed on to it, is answered all the same."""
    path = place / "socket"
    binds = ("--bind", "127.0.0.1:0", "--bind", f"unix:{path}")
    server, url = serving(place, 2, *binds, port=False)
    with server:
        clients = open_clients(f"unix:{path}", 8)
        dies = int(clients[0].ask())
        os.kill(dies, signal.SIGSTOP)
        waiting = [Client(where) for _ in range(12) for where in (url, f"unix:{path}")]
        for each in waiting:
            each.send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(dies, signal.SIGKILL)
        assert str(dies) not in {each.answer() for each in waiting}
