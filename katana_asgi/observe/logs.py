"""The loggers ``katana_asgi.error`` and ``katana_asgi.access``, and how a person reads them.

The error log goes to standard error, the access log to standard output. An application that
configured either logger before keeps its configuration. A log that cannot be written is lost,
and nothing else with it.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["TRACE", "LineFormatter", "configure_logging"]

TRACE: Final = 5
"""Below DEBUG: every ASGI message."""

_COLOURS: Final = {
    TRACE: "34",
    logging.DEBUG: "36",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "91",
}


class LineFormatter(logging.Formatter):
    """``INFO:     message``, the level coloured on a terminal; a batch gets it on each line."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__("%(message)s")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The record as one or more lines."""
        level = f"{record.levelname}:"
        padding = " " * max(1, 10 - len(level))
        if self._colours:
            level = f"\x1b[{_COLOURS.get(record.levelno, '0')}m{record.levelname}\x1b[0m:"
        prefix = level + padding
        lines: list[str] | None = getattr(record, "lines", None)
        if lines is not None:
            return "\n".join([prefix + line for line in lines])
        return prefix + super().format(record)


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; says once when that fails, as on a full disk, and goes on without."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._failing = False

    def flush(self) -> None:
        """Bring what was written out of the process."""
        super().flush()
        self._failing = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A record could not be written: say so where it may still be read."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | ValueError):
            super().handleError(record)
        elif not self._failing:
            self._failing = True
            if sys.stderr is not None and sys.stderr is not self.stream:
                with suppress(OSError, ValueError):
                    sys.stderr.write(f"ERROR:    {record.name} cannot be written: {error}\n")
                    sys.stderr.flush()


def configure_logging(config: Config) -> None:
    """Set level and handlers of both loggers, where nobody else has given them handlers."""
    _occupy_standard_descriptors()
    logging.addLevelName(TRACE, "TRACE")
    level = TRACE if config.log_level == "trace" else config.log_level.upper()
    for name, stream in (("error", sys.stderr), ("access", sys.stdout)):
        logger = logging.getLogger(f"katana_asgi.{name}")
        if logger.handlers:
            continue
        logger.setLevel(level if name == "error" else logging.INFO)
        logger.propagate = False
        if stream is None:  # closed before the program started
            logger.addHandler(logging.NullHandler())
            continue
        handler = LogHandler(stream)
        handler.setFormatter(LineFormatter(colours=_wants_colours(config, stream)))
        logger.addHandler(handler)


def _occupy_standard_descriptors() -> None:
    """Open nothing in the place of closed standard streams.

    Else a socket would take it, and what some library prints would go to a client.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one


def _wants_colours(config: Config, stream: TextIO) -> bool:
    return stream.isatty() if config.use_colors is None else config.use_colors
