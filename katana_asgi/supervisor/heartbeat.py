"""Which workers are silent: a loop that does not turn sends no heartbeat.

A worker that imports is not checked (``timeout-startup`` is for that), nor is one that drains.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from katana_asgi.supervisor.slot import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.supervisor.slot import WorkerProcess

__all__ = ["check_heartbeats", "next_check"]

STACKS: Final = 0.5
"""Seconds a blocked worker gets to write its stacks before it is killed."""

logger = logging.getLogger("katana_asgi.error")


def check_heartbeats(workers: Iterable[WorkerProcess], limit: float, now: float) -> None:
    """Log which of ``workers`` are blocked; end those that have been for ``limit`` seconds.

    0 is no limit. Messages that have arrived must have been read before.
    """
    for worker in workers:
        silent = now - worker.heard_at
        if limit and silent >= limit and worker.kill_at is None:
            logger.error("%s has been blocked for %.1f s; its stacks:", worker, silent)
            worker.show_stacks()
            worker.must_end_by(now + STACKS, f"blocked for {limit:g} s")
        elif worker.condition(now) == "blocked" and not worker.blocked:
            worker.blocked = True
            logger.warning("%s says nothing: its event loop is blocked", str(worker).capitalize())


def next_check(workers: Iterable[WorkerProcess], limit: float) -> list[float]:
    """When to check again, for each worker."""
    times = []
    for worker in workers:
        if not worker.blocked:
            times.append(worker.heard_at + min(SILENT, limit or SILENT))
        elif limit and worker.kill_at is None:
            times.append(worker.heard_at + limit)
    return times
