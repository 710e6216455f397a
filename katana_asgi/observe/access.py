"""The access log, off the critical path: a request costs an append, lines are made in batches.

A record is a tuple; a batch is formatted and written at once a moment after its first
record, when it is full, and when the log is closed. Text of the client is escaped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.http.status import reason_phrase
from katana_asgi.observe.logs import LineFormatter

if TYPE_CHECKING:
    import asyncio

__all__ = ["AccessLog", "Record", "format_record"]

FLUSH_AFTER: Final = 0.05
"""Seconds a line may wait for others to be written together with it."""

MAX_BATCH: Final = 512
"""Against a batch as unlimited memory: a full one is written at once."""

Record: TypeAlias = "tuple[tuple[str, int] | None, str, bytes, str, int, str]"
"""Client, method, request target, HTTP version, status, and a remark of the server's own."""

_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0x100))},
    0x22: "\\x22",
    0x5C: "\\x5c",
}


def format_record(record: Record) -> str:
    """One line: ``127.0.0.1:4711 - "GET / HTTP/1.1" 200 OK``."""
    client, method, target, version, status, remark = record
    peer = f"{client[0]}:{client[1]}" if client else "-"
    path = target.decode("latin-1").translate(_ESCAPES)
    phrase = reason_phrase(status).decode("ascii")
    line = f'{peer} - "{method} {path} HTTP/{version}" {status} {phrase}'
    return f"{line} ({remark})" if remark else line


class AccessLog:
    """Collects records on the event loop and writes them through a logger in batches."""

    __slots__ = ("_batches", "_handle", "_logger", "_loop", "_records")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._logger = logging.getLogger("katana_asgi.access")
        # A handler of the user's gets one record a line; ours takes many lines in one write.
        self._batches = not self._logger.propagate and all(
            isinstance(handler.formatter, LineFormatter) for handler in self._logger.handlers
        )
        self._records: list[Record] = []
        self._handle: asyncio.TimerHandle | None = None

    @property
    def enabled(self) -> bool:
        """Whether anybody would see the lines."""
        return self._logger.isEnabledFor(logging.INFO)

    def add(self, record: Record) -> None:
        """Take a record; its line appears within a moment."""
        records = self._records
        records.append(record)
        if self._handle is None:
            self._handle = self._loop.call_later(FLUSH_AFTER, self.flush)
        elif len(records) >= MAX_BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        records, self._records = self._records, []
        lines = [format_record(record) for record in records]
        if self._batches and lines:
            self._logger.info("\n".join(lines), extra={"lines": lines})
        else:
            for line in lines:
                self._logger.info("%s", line)
