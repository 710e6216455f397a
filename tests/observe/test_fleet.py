"""The workers of a service, as who answers for them sees them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from katana_asgi.observe import fleet as module
from katana_asgi.observe.fleet import LATE, Fleet
from katana_asgi.observe.metrics import WorkerMetrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the monotonic clock says."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def snapshot(*, draining: bool = False) -> dict[str, Any]:
    gauges = dict.fromkeys(("idle", "active", "websocket", "queue", "concurrency"), 0)
    return WorkerMetrics(()).snapshot(gauges, draining=draining)


def test_a_service_is_ready_while_any_of_its_workers_can_answer(clock: list[float]) -> None:
    fleet = Fleet(2)
    fleet.update(1, 1, snapshot())
    assert not fleet.ready
    fleet.update(2, 2, snapshot())
    assert fleet.ready
    clock[0] += LATE - 0.1
    fleet.update(2, 2, snapshot())
    clock[0] += 0.2
    assert fleet.ready, "the first is blocked, the second is not"
    clock[0] += LATE
    assert not fleet.ready
    fleet.update(1, 1, snapshot())
    assert fleet.ready
    fleet.stopping = True
    assert not fleet.ready


def test_a_clock_that_is_set_changes_nothing(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(1)
    fleet.update(1, 1, snapshot())
    clock[0] += 2.0
    for jump in (-86400.0, 86400.0):
        monkeypatch.setattr(module.time, "time", lambda jump=jump: time.time_ns() / 1e9 + jump)
        status = fleet.status()
        assert (status["ready"], status["uptime"]) == (True, 2.0)
        assert status["workers"][0]["age"] == 2.0
