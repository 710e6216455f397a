"""The lines of the access log, as a handler of somebody's own gets them."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Lines", "access_lines"]


class Lines(logging.Handler):
    """Keeps the lines until they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put_nowait(record.getMessage())

    async def next(self) -> str:
        """The next line."""
        return await within(self.lines.get())

    async def entry(self) -> dict[str, Any]:
        """The next line, in JSON."""
        entry: dict[str, Any] = json.loads(await self.next())
        return entry


@contextmanager
def access_lines() -> Iterator[Lines]:
    """Within the block, the access log has such a handler."""
    logger = logging.getLogger("katana_asgi.access")
    handler = Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
