"""``katana-asgi top``: the status of a running server in a terminal, once a second.

The one module that knows ``rich``.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from katana_asgi.admin.commands import duration, head_of

try:
    import termios
    import tty
except ImportError:  # not on Windows
    termios = None  # type: ignore[assignment] # as the check below wants it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from katana_asgi.admin.client import AdminClient

__all__ = ["run_top"]

PERIOD: Final = 1.0
"""Seconds between two updates; workers publish that often."""

WORKERS: Final = ("no", "pid", "requests", "p99", "lag p99", "idle", "busy", "ws", "MiB", "cpu s")
"""Columns, short enough for a terminal of 80."""

QUIT: Final = frozenset({"q", "Q"})


def run_top(client: AdminClient, times: int = 0) -> None:
    """Show the status until q or Ctrl+C is pressed, or ``times`` times. Raises ``Unreachable``."""
    view = _view(client.status())
    console = Console()
    if times == 1 or not console.is_terminal:
        console.print(view)
        return
    # Keys first: one that is pressed as soon as something is shown counts.
    with _keys() as pressed, Live(view, console=console, auto_refresh=False, screen=True) as live:
        while times != 1:
            if pressed(PERIOD) in QUIT:
                return
            live.update(_view(client.status()), refresh=True)
            times -= 1 if times else 0


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits for a key for some seconds; empty where there was none."""
    if termios is None or not sys.stdin.isatty():
        yield _no_key
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSANOW)  # what was pressed before this stays
    try:
        yield partial(_key, descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(descriptor: int, seconds: float) -> str:
    if not select.select([descriptor], [], [], seconds)[0]:
        return ""
    return os.read(descriptor, 1).decode("latin-1")


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _view(status: dict[str, Any]) -> Group:
    workers = Table(title="Workers", expand=True)
    for name in WORKERS:
        workers.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
    for each in status["workers"]:
        timed = each["p99"] > 0  # not where only static routes were asked for
        workers.add_row(
            str(each["number"]),
            str(each["pid"]),
            str(each["requests"]),
            duration(each["p99"]) if timed else "-",
            duration(each["lag_p99"]),
            str(each.get("idle", 0)),
            str(each.get("active", 0)),
            str(each.get("websocket", 0)),
            str(each["rss"] // 2**20),
            f"{each['cpu']:.1f}",
        )
    slow = Table(title="Slowest of the last minute", expand=True)
    for name in ("duration", "status"):
        slow.add_column(name, justify="right", no_wrap=True)
    slow.add_column("request", ratio=1, no_wrap=True, overflow="ellipsis")
    for each in status["slowest"]:
        request = f"{each['method']} {each['path']}"
        shown = "".join(char if char.isprintable() else "?" for char in request)
        slow.add_row(duration(each["seconds"]), str(each["status"]), Text(shown))
    return Group(Text(head_of(status)), workers, slow)
