"""The access log, off the critical path: a request costs an append, lines are made in batches.

A record is a tuple, of a repeated exchange the same one again; a batch is formatted and
written at once a moment after its first record, when it is full, and when the log is closed.
"""

from __future__ import annotations

import logging
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.access_values import Redaction
from katana_asgi.observe.descriptor import DescriptorStream
from katana_asgi.observe.logs import LineFormatter, LogHandler, preset

if TYPE_CHECKING:
    import asyncio

    from katana_asgi.config.model import Config
    from katana_asgi.observe.record import Outcome, Record

__all__ = ["AccessLog", "Selection"]

FLUSH_AFTER: Final = 0.05
"""Seconds a line may wait for others to be written together with it."""

TRY_AGAIN_AFTER: Final = 0.25
"""Seconds until lines are offered again to a reader that did not take them."""

LAST_WAIT: Final = 1.0
"""Seconds that such a reader gets at the very end."""

MAX_BATCH: Final = 512
"""Against a batch as unlimited memory, and as time that the event loop would miss."""

ALWAYS: Final = 400
"""The status from which on requests are logged whatever the sample."""

logger = logging.getLogger("katana_asgi.error")


class Selection:
    """Which requests are logged.

    ``sample`` is the part of them; what is left out is spread evenly. ``exclude`` are paths, and
    beginnings of paths that end in ``*``.
    """

    def __init__(self, sample: float = 1.0, exclude: tuple[str, ...] = ()) -> None:
        self._sample = sample
        self._due = 0.0
        self._paths = frozenset(exclude)
        self._prefixes = tuple(each[:-1] for each in exclude if each.endswith("*"))
        self.everything = sample >= 1.0 and not exclude

    def __call__(self, outcome: Outcome) -> bool:
        """Whether an exchange becomes a line."""
        path = outcome[2].path
        if path in self._paths or path.startswith(self._prefixes):
            return False
        if outcome[3] >= ALWAYS:
            return True
        self._due += self._sample
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True


class AccessLog:
    """Collects records on the event loop and writes them through a logger in batches.

    ``records`` waits to be written: of ``Record`` where the format ``varies``, else of
    ``Outcome``. Who makes many appends to it himself, and calls ``look_at_batch`` when there
    are ``due`` of them. The other attributes are those of the format.
    """

    __slots__ = (
        "_batches",
        "_context",
        "_format",
        "_handle",
        "_logger",
        "_loop",
        "_selection",
        "_streams",
        "due",
        "reads_fields",
        "reads_ids",
        "reads_sent",
        "records",
        "timed",
        "varies",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        form: AccessFormat | None = None,
        selection: Selection | None = None,
    ) -> None:
        self._loop = loop
        # A batch belongs to many requests: filters must not see the variables of one of them.
        self._context = copy_context()
        self._logger = logging.getLogger("katana_asgi.access")
        handlers = self._logger.handlers
        # A handler of the user's gets one record a line; ours takes many lines in one write.
        self._batches = not self._logger.propagate and all(
            isinstance(handler, LogHandler) and isinstance(handler.formatter, LineFormatter)
            for handler in handlers
        )
        streams = [getattr(handler, "stream", None) for handler in handlers]
        self._streams = [stream for stream in streams if isinstance(stream, DescriptorStream)]
        self.records: list[Any] = []
        self.due = 1
        self._handle: asyncio.TimerHandle | None = None
        self._format = form or AccessFormat("short")
        self._selection = selection or Selection()
        self.reads_fields = self._format.reads_fields
        self.reads_sent = self._format.reads_sent
        self.reads_ids = self._format.reads_ids
        self.timed = self._format.timed
        self.varies = self._format.varies

    @classmethod
    def from_config(cls, config: Config, loop: asyncio.AbstractEventLoop) -> AccessLog | None:
        """The log that the settings ask for; ``None`` where nobody would see it."""
        if not config.access_log:
            return None
        redaction = Redaction(config.access_log_redact_headers, config.access_log_redact_query)
        form = AccessFormat(preset(config), config.access_log_fields, redaction)
        selection = Selection(config.access_log_sample, config.access_log_exclude)
        log = cls(loop, form, selection)
        return log if log.enabled else None

    @property
    def enabled(self) -> bool:
        """Whether anybody would see the lines."""
        return self._logger.isEnabledFor(logging.INFO)

    def add(self, record: Record) -> None:
        """Take a record; its line appears within a moment."""
        self.records.append(record if self.varies else record[0])
        if len(self.records) >= self.due:
            self.look_at_batch()

    def look_at_batch(self) -> None:
        """``due`` records are there: the first, after which others are awaited, or enough."""
        if self._handle is None:
            self._handle = self._loop.call_later(FLUSH_AFTER, self.flush, context=self._context)
            self.due = MAX_BATCH
        else:
            self._context.run(self.flush)

    def flush(self) -> None:
        """Write what has been collected."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        records, self.records = self.records, []
        self.due = 1
        selection = self._selection
        if not selection.everything:
            varies = self.varies
            records = [each for each in records if selection(each[0] if varies else each)]
        # Taken anew each time: somebody may have set the clock.
        offset = time.time() - (time.perf_counter() if self.timed else 0.0)
        lines = self._format.lines(records, offset)
        if not self._batches:
            for line in lines:
                self._logger.info("%s", line)
        else:
            for handler in self._logger.handlers:
                if isinstance(handler, LogHandler):
                    handler.write_lines(lines)
        if self._streams:
            self._look_at_streams()

    def _look_at_streams(self) -> None:
        if any(stream.waiting for stream in self._streams):
            self._handle = self._loop.call_later(TRY_AGAIN_AFTER, self.flush, context=self._context)
            self.due = MAX_BATCH
            return
        for stream in self._streams:
            if stream.lost:
                logger.warning(
                    "%d lines of the access log were lost: too slow a reader", stream.lost
                )
                stream.lost = 0

    def close(self) -> None:
        """Write the rest, and wait a little for a reader that is slow."""
        self.flush()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        for stream in self._streams:
            try:
                stream.flush(LAST_WAIT)
            except OSError as error:
                logger.error("katana_asgi.access cannot be written: %s", error)
