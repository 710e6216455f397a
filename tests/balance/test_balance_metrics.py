"""What an operator sees of the load of workers, and of what was done about it."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from clients import open_clients, serving

from katana_asgi.admin.commands import head_of, summary
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("prometheus_client")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        text: str = response.read().decode()
        return text


def wait_for_status(admin: str, done: Any) -> dict[str, Any]:
    """The first status for which ``done`` holds; the admin process starts beside the workers."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        status: dict[str, Any] = {}
        with suppress(urllib.error.URLError):
            status = json.loads(get(f"{admin}/status.json"))
            if done(status):
                return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def test_what_was_handed_and_moved_is_counted_and_shown(place: Path) -> None:
    path = place / "socket"
    admin = ("--admin-bind", "127.0.0.1:0")
    server, url = serving(place, 2, "--uds", str(path), *admin, port=False)
    with server:
        where = server.stderr.partition("Admin listener on ")[2].split()[0]
        clients = open_clients(url, 20)

        def all_open(status: dict[str, Any]) -> bool:
            return sum(each["idle"] for each in status["workers"]) == 20

        status = wait_for_status(where, all_open)
        assert status["counters"]["handed"] > 0  # all slots accept from one queue
        assert status["counters"]["moved"] == status["counters"]["kept"] == 0
        assert sum(each["handed"] for each in status["workers"]) == status["counters"]["handed"]
        assert all(each["lag"] >= 0 and "concurrency" in each for each in status["workers"])
        (line,) = [line for line in summary(status).splitlines() if line.startswith("spread")]
        assert line in head_of(status)
        handed = status["counters"]["handed"]
        assert f"handed {handed} moved 0 kept 0" in line

        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: all")
        status = wait_for_status(where, lambda status: status["counters"]["moved"] >= 20)
        assert all(each.ask() for each in clients)
        metrics = get(f"{where}/metrics")
        assert f"katana_asgi_connections_handed_total {float(handed)}" in metrics
        assert 'katana_asgi_worker_loop_lag_seconds{pid="' in metrics
        assert server.stop() == 0


def test_one_worker_has_no_spread() -> None:
    status = {
        "ready": True,
        "stopping": False,
        "uptime": 1.0,
        "restarts": 0,
        "rate": 0.0,
        "recent": {"count": 0},
        "duration": {"count": 0},
        "classes": {},
        "workers": [],
        "counters": {},
    }
    assert "spread" not in summary(status)
    assert "spread" not in head_of(status)
