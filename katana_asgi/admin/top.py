"""``katana-asgi top``: the status of a running server in a terminal, once a second.

The one module that knows ``rich``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from katana_asgi.admin.commands import duration, summary

if TYPE_CHECKING:
    from katana_asgi.admin.client import AdminClient

__all__ = ["run_top"]

PERIOD: Final = 1.0
"""Seconds between two looks; workers publish that often."""

WORKERS: Final = (
    "worker", "pid", "requests", "p99", "lag p99", "idle", "active", "ws", "MiB", "cpu s"
)  # fmt: skip


def run_top(client: AdminClient, times: int = 0) -> None:
    """Show the status until interrupted, or ``times`` times. Raises ``Unreachable``."""
    view = _view(client.status())
    console = Console()
    if times == 1 or not console.is_terminal:
        console.print(view)
        return
    with Live(view, console=console, auto_refresh=False, screen=True) as live:
        while times != 1:
            time.sleep(PERIOD)
            live.update(_view(client.status()), refresh=True)
            times -= 1 if times else 0


def _view(status: dict[str, Any]) -> Group:
    workers = Table(*WORKERS, title="Workers", expand=True)
    for each in status["workers"]:
        workers.add_row(
            str(each["number"]),
            str(each["pid"]),
            str(each["requests"]),
            duration(each["p99"]),
            duration(each["lag_p99"]),
            str(each.get("idle", 0)),
            str(each.get("active", 0)),
            str(each.get("websocket", 0)),
            str(each["rss"] // 2**20),
            f"{each['cpu']:.1f}",
        )
    slow = Table("duration", "status", "request", title="Slowest of the last minute", expand=True)
    for each in status["slowest"]:
        request = f"{each['method']} {each['path']}"
        shown = "".join(char if char.isprintable() else "?" for char in request)
        slow.add_row(duration(each["seconds"]), str(each["status"]), Text(shown))
    head = "\n".join(summary(status).splitlines()[:4])
    return Group(Text(head), workers, slow)
