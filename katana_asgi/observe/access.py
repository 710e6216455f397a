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
from katana_asgi.observe.access_record import AccessRecord
from katana_asgi.observe.access_values import Redaction
from katana_asgi.observe.descriptor import DescriptorStream
from katana_asgi.observe.loggers import ACCESS, server_logger
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

MAX_BATCH: Final = 128
"""Against a batch as unlimited memory, and as time that the event loop would miss. A record keeps
the head of its request: with 512 of them, memory that the processor's caches no longer hold cost
two to three microseconds a request."""

ALWAYS: Final = 400
"""The status from which on requests are logged whatever the sample."""

RECORD_MEMBERS: Final = 4
"""Members of a ``Record``; an ``Outcome`` has more."""

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

    ``records`` waits to be written: of ``Record`` where the log ``varies``, else of ``Outcome``.
    Hot callers append to it themselves and call ``look_at_batch`` when there are ``due`` of them.
    The other attributes say what a record has to have.

    Handlers, filters and levels of the logger count whenever they are set: each batch is written
    directly where the logger is as the server made it, else one record a line.
    """

    __slots__ = (
        "_context",
        "_format",
        "_handle",
        "_logger",
        "_loop",
        "_said",
        "_selection",
        "due",
        "reads_cache",
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
        self._logger = server_logger(ACCESS)
        self._said = False
        self.records: list[Any] = []
        self.due = 1
        self._handle: asyncio.TimerHandle | None = None
        self._format = form or AccessFormat("short")
        self._selection = selection or Selection()
        self.reads_cache = self._format.reads_cache
        self.reads_fields = self._format.reads_fields
        self.reads_sent = self._format.reads_sent
        self.reads_ids = self._format.reads_ids
        self.timed = self._format.timed
        self.varies = self._format.varies
        self.refresh()

    def refresh(self) -> None:
        """Have records from now on hold all that handlers and filters may ask for, if any.

        Exchanges that have begun already did not note when.
        """
        if not self._is_plain():
            self.reads_cache = self.reads_fields = self.reads_ids = True
            self.timed = self.varies = True

    def _is_plain(self) -> bool:
        """Whether nothing but the server's own handlers gets the lines."""
        logger = self._logger
        twin = getattr(logger, "twin", None)
        if twin is not None and not _is_twin(logger, twin):
            return False
        return not (logger.propagate or logger.filters) and all(map(_is_plain, logger.handlers))

    @classmethod
    def from_config(cls, config: Config, loop: asyncio.AbstractEventLoop) -> AccessLog | None:
        """The log that the settings ask for; ``None`` where nobody would see it."""
        if not config.access_log:
            return None
        redaction = Redaction(config.access_log_redact_headers, config.access_log_redact_query)
        form = AccessFormat(preset(config), config.access_log_fields, redaction)
        selection = Selection(config.access_log_sample, config.access_log_exclude)
        log = cls(loop, form, selection)
        # A logger with handlers may be switched off now and on later.
        return log if log.enabled or log.has_handlers else None

    @property
    def enabled(self) -> bool:
        """Whether the levels let the lines pass."""
        twin = getattr(self._logger, "twin", None)
        return self._logger.isEnabledFor(logging.INFO) and (
            twin is None or twin.isEnabledFor(logging.INFO)
        )

    @property
    def has_handlers(self) -> bool:
        """Whether the server has given the logger a handler."""
        return getattr(self._logger, "own", None) is not None

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
        if records and self.enabled:
            selection = self._selection
            if not selection.everything:
                records = [each for each in records if selection(_outcome(each))]
            self._write(records)
        elif not records:
            for handler in self._logger.handlers:
                if isinstance(handler, LogHandler):
                    handler.write_lines([])  # what a slow reader did not take
        if streams := self._streams():
            self._look_at_streams(streams)

    def _write(self, records: list[Any]) -> None:
        lines = self._lines(records)
        if self._is_plain():
            for handler in self._logger.handlers:
                if isinstance(handler, LogHandler):
                    handler.write_lines(lines)
            return
        self._say_whose()
        self.refresh()
        for record, line in zip(records, lines, strict=True):
            self._logger.handle(self._as_record(record, line))

    def _lines(self, records: list[Any]) -> list[str]:
        """A line for each record. Some may be outcomes, from before the log was varied."""
        form = self._format
        if form.varies:
            needed = [each if _is_record(each) else (each, 0.0, 0.0, None) for each in records]
        else:
            needed = [_outcome(each) for each in records]
        # Computed anew each time: the clock may have been set.
        offset = time.time() - (time.perf_counter() if form.timed else 0.0)
        return form.lines(needed, offset)

    def _as_record(self, record: Any, line: str) -> AccessRecord:
        outcome, ended, began, request_id = (
            record if _is_record(record) else (record, 0.0, 0.0, None)
        )
        times = (ended, began) if began else None
        moment = time.time() - (time.perf_counter() - ended if times else 0.0)
        return AccessRecord(line, self._format.values, outcome, times, request_id, moment)

    def _say_whose(self) -> None:
        """Log once that what was set for uvicorn's logger counts."""
        twin = getattr(self._logger, "twin", None)
        if twin is not None and not self._said and not _is_twin(self._logger, twin):
            self._said = True
            logger.info("What is configured for logger %s applies to the access log", twin.name)

    def _streams(self) -> list[DescriptorStream]:
        streams = (getattr(handler, "stream", None) for handler in self._logger.handlers)
        return [stream for stream in streams if isinstance(stream, DescriptorStream)]

    def _look_at_streams(self, streams: list[DescriptorStream]) -> None:
        if any(stream.waiting for stream in streams):
            self._handle = self._loop.call_later(TRY_AGAIN_AFTER, self.flush, context=self._context)
            self.due = MAX_BATCH
            return
        for stream in streams:
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
        for stream in self._streams():
            try:
                stream.flush(LAST_WAIT)
            except OSError as error:
                logger.error("katana_asgi.access cannot be written: %s", error)


def _is_plain(handler: logging.Handler) -> bool:
    """Whether a handler is the server's and as it was made."""
    if isinstance(handler, logging.NullHandler):
        return True
    ours = isinstance(handler, LogHandler) and isinstance(handler.formatter, LineFormatter)
    return ours and not handler.filters and handler.level <= logging.INFO


def _is_twin(logger: logging.Logger, twin: logging.Logger) -> bool:
    """Whether uvicorn's logger is as ``configure_logging`` left it."""
    return twin.handlers == logger.handlers and not (
        twin.filters or twin.disabled or twin.propagate or twin.level > logging.INFO
    )


def _is_record(member: Any) -> bool:
    """Whether it is a ``Record``; else it is an ``Outcome``."""
    return len(member) == RECORD_MEMBERS


def _outcome(member: Any) -> Outcome:
    outcome: Outcome = member[0] if _is_record(member) else member
    return outcome
