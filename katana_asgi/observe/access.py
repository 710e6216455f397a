"""The access log: a line is made when its exchange has ended, and written with others.

A batch is written at once a moment after its first line, when it is full, and when the log is
closed.
"""

from __future__ import annotations

import logging
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from katana_asgi.observe.access_format import AccessFormat
from katana_asgi.observe.access_record import AccessRecord
from katana_asgi.observe.access_values import Redaction
from katana_asgi.observe.descriptor import DescriptorStream
from katana_asgi.observe.loggers import ACCESS, server_logger
from katana_asgi.observe.logs import LineFormatter, LogHandler, preset

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.config.model import Config
    from katana_asgi.observe.record import Record

__all__ = ["AccessLog", "Selection"]

FLUSH_AFTER: Final = 0.05
"""Seconds a line may wait for others to be written together with it."""

TRY_AGAIN_AFTER: Final = 0.25
"""Seconds until lines are offered again to a reader that did not take them."""

LAST_WAIT: Final = 1.0
"""Seconds that such a reader gets at the very end."""

MAX_BATCH: Final = 128
"""Lines that are written at once, against a batch as unlimited memory."""

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

    def __call__(self, record: Record) -> bool:
        """Whether an exchange becomes a line."""
        path = record[2].path
        if path in self._paths or path.startswith(self._prefixes):
            return False
        if record[3] >= ALWAYS:
            return True
        self._due += self._sample
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True


class AccessLog:
    """Makes lines on the event loop and writes them through a logger in batches.

    Handlers, filters and levels of the logger count from the next batch on, whenever they are
    set. Where the logger is as the server made it, lines are made at once; else records are kept
    until the batch is handed over, one ``logging`` record a line. The attributes without an
    underscore say what a record has to have.
    """

    __slots__ = (
        "_context",
        "_format",
        "_handle",
        "_line",
        "_logger",
        "_loop",
        "_said",
        "_selection",
        "_waiting",
        "reads_cache",
        "reads_duration",
        "reads_fields",
        "reads_ids",
        "reads_moment",
        "reads_sent",
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
        self._format = form or AccessFormat("short")
        self._selection = selection if selection is not None and not selection.everything else None
        self._waiting: list[str | Record] = []
        self._line: Callable[..., str] | None = None  # what makes lines; None: records are kept
        self._handle: asyncio.TimerHandle | None = None  # of the batch that has begun
        self.reads_cache = self._format.reads_cache
        self.reads_fields = self._format.reads_fields
        self.reads_sent = self._format.reads_sent
        self.reads_ids = self._format.reads_ids
        self.reads_moment = self._format.reads_moment
        self.reads_duration = self._format.reads_duration
        self.look_at_logger()

    def look_at_logger(self) -> None:
        """Make lines at once; or have records hold all that handlers and filters may ask for.

        Exchanges that have begun already did not note when.
        """
        self._line = self._format.line if self._is_plain() else None
        if self._line is None:
            self.reads_cache = self.reads_fields = self.reads_ids = True
            self.reads_moment = self.reads_duration = True

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
        if self._selection is not None and not self._selection(record):
            return
        if self._handle is None:
            self.look_at_logger()
            self._handle = self._loop.call_later(FLUSH_AFTER, self.flush, context=self._context)
        waiting, line = self._waiting, self._line
        waiting.append(record if line is None else line(*record))
        if len(waiting) >= MAX_BATCH:
            self._context.run(self.flush)

    def flush(self) -> None:
        """Write what has been collected."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        waiting, self._waiting = self._waiting, []
        if waiting and self.enabled:
            self._write(waiting)
        elif not waiting:
            self._write_lines([])  # what a slow reader did not take
        if streams := self._streams():
            self._look_at_streams(streams)

    def _write(self, waiting: list[str | Record]) -> None:
        """Write lines, or hand records over where somebody wants them."""
        line = self._format.line
        if self._is_plain():
            self._write_lines([each if isinstance(each, str) else line(*each) for each in waiting])
            return
        self._say_whose()
        self._write_lines([each for each in waiting if isinstance(each, str)])
        for each in waiting:
            if not isinstance(each, str):
                self._logger.handle(AccessRecord(line(*each), self._format.values, each))

    def _write_lines(self, lines: list[str]) -> None:
        for handler in self._logger.handlers:
            if isinstance(handler, LogHandler):
                handler.write_lines(lines)

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
