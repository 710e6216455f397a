"""What a server may leave behind, counted: objects, tasks, descriptors."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from typing import TYPE_CHECKING

from katana_asgi.asgi.exchange import Exchange
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.reading import RequestReader
from katana_asgi.http1.writing import Http1Writer

if TYPE_CHECKING:
    from katana_asgi.testing import Running

__all__ = ["everything_gone", "leftovers", "objects"]

KINDS = (Http1Connection, Exchange, RequestReader, Http1Writer, asyncio.Task)


def leftovers() -> Counter[str]:
    """How many there are now of what belongs to connections and exchanges."""
    found = Counter(
        kind.__name__ for each in gc.get_objects() for kind in KINDS if isinstance(each, kind)
    )
    found["descriptors"] = len(os.listdir("/dev/fd"))
    found["running tasks"] = len(asyncio.all_tasks())
    return found


def objects() -> int:
    """How many objects the collector knows."""
    return len(gc.get_objects())


async def everything_gone(server: Running) -> None:
    """Wait until the server has neither connections nor running exchanges."""
    context = server.server.context
    assert context is not None
    while context.clock.watched or context.running:
        await asyncio.sleep(0.001)
    for _ in range(10):  # what was closed is released in the next turns
        await asyncio.sleep(0)
    assert not context.clock.stalled
