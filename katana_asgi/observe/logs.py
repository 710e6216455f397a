"""The loggers ``katana_asgi.error`` and ``katana_asgi.access``, and how a person reads them.

The error log goes to standard error, the access log to standard output, a file or a syslog. An
application that configured either logger before keeps its configuration. A log that cannot be
written is lost, and nothing else with it.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from katana_asgi.config.log_checks import syslog_address
from katana_asgi.errors import ConfigurationError
from katana_asgi.observe.descriptor import DescriptorStream, FileStream, own_end
from katana_asgi.observe.json_log import JsonFormatter
from katana_asgi.observe.log_config import apply_log_config, importing_from
from katana_asgi.observe.loggers import ACCESS, ERROR, TWINS, ServerLogger, server_logger
from katana_asgi.observe.request_ids import RequestIdFilter
from katana_asgi.observe.syslog import QuietSysLogHandler

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = [
    "TRACE",
    "LineFormatter",
    "LogHandler",
    "configure_logging",
    "in_container",
    "log_notes",
    "prepare_logging",
    "preset",
    "reopen_logs",
]

TRACE: Final = 5
"""Below DEBUG: every ASGI message."""

UVICORN: Final = "uvicorn"
"""The parent of uvicorn's loggers, to which applications write as well."""

CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")

PLATFORM_VARIABLES: Final = frozenset(
    {"container", "KUBERNETES_SERVICE_HOST", "DYNO", "K_SERVICE", "FLY_APP_NAME", "RENDER"}
)
"""Set by systemd-nspawn and Podman, Kubernetes, Heroku, Cloud Run, Fly and Render."""

_LEVELS: Final = logging.getLevelNamesMapping()

_COLOURS: Final = {
    TRACE: "34",
    logging.DEBUG: "36",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "91",
}


class LineFormatter(logging.Formatter):
    """``INFO:     message``, the level coloured on a terminal; a batch gets it on each line.

    Without ``level`` it is the message alone. With ``timed`` the local time stands before it.
    """

    def __init__(self, *, colours: bool, level: bool = True, timed: bool = False) -> None:
        super().__init__("%(message)s")
        self._colours = colours
        self._level = level
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with its traceback behind it."""
        return self._prefix(record.levelno, record.created) + super().format(record)

    def join(self, level: int, lines: list[str]) -> str:
        """Many lines as one text."""
        prefix = self._prefix(level, time.time())
        return prefix + f"\n{prefix}".join(lines)

    def _prefix(self, level: int, moment: float) -> str:
        if not self._level:
            return ""
        when = f"{local_time(moment)} " if self._timed else ""
        name = logging.getLevelName(level)
        padding = " " * max(1, 9 - len(name))
        if self._colours:
            name = f"\x1b[{_COLOURS.get(level, '0')}m{name}\x1b[0m"
        return f"{when}{name}:{padding}"


def local_time(moment: float) -> str:
    """``2026-01-31 23:59:59.123``, as the clocks of this place have it."""
    milliseconds = int(moment * 1000) % 1000
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(moment))}.{milliseconds:03d}"


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; says once when that fails, as on a full disk, and goes on without."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._failing = False

    def write_lines(self, lines: list[str]) -> None:
        """Write many lines of one logger at once, without a record for each."""
        with self.lock or nullcontext():
            try:
                if lines:
                    self.stream.write(self._joined(lines) + self.terminator)
                self.flush()
            except (OSError, ValueError):
                self.handleError(
                    logging.LogRecord("katana_asgi.access", logging.INFO, "", 0, "", (), None)
                )

    def _joined(self, lines: list[str]) -> str:
        form = self.formatter
        return form.join(logging.INFO, lines) if isinstance(form, LineFormatter) else ""

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


def preset(config: Config) -> str:
    """The format of the access log, ``auto`` resolved."""
    if config.access_log_format != "auto":
        return config.access_log_format
    if config.access_log_fields or config.log_format == "json":
        return "json"
    return "short" if config.access_log_file == "-" else "combined"


def configure_logging(config: Config, *, forget: bool = False) -> None:
    """Set level and handlers of both loggers, where nothing else has given them handlers.

    ``forget`` is for a process that does not serve: see ``importing_from``. Raises
    ``ConfigurationError`` for a log configuration that cannot be used and a destination that
    cannot be opened.
    """
    _occupy_standard_descriptors()
    logging.addLevelName(TRACE, "TRACE")
    configured = config.log_config is not None
    for name in (UVICORN, *TWINS.values()):
        server_logger(name)  # which a configuration of others does not disable
    if config.log_config:
        with importing_from(config.app_dir, forget=forget):
            apply_log_config(config.log_config)
    for name in (ERROR, ACCESS) if config.access_log else (ERROR,):
        logger = server_logger(name)
        if not logger.handlers:
            if not (configured and logger.level):
                logger.setLevel(_level(name, config))
            # With a configuration of all loggers at once, records go where it says.
            if not (configured and logger.hasHandlers()):
                logger.propagate = False
                make = _error_handler if name == ERROR else _access_handler
                logger.addHandler(make(config))
                if isinstance(logger, ServerLogger):
                    _replace_own(logger)
    _connect_uvicorn(config)


def _replace_own(logger: ServerLogger) -> None:
    """Note the handler that the server has just given ``logger``, instead of an earlier one."""
    for name in (UVICORN, *TWINS.values()):
        handlers = logging.getLogger(name).handlers
        if logger.own in handlers:
            handlers.remove(logger.own)
    logger.own = logger.handlers[0]


def _connect_uvicorn(config: Config) -> None:
    """Have our loggers obey what is, or will be, set on uvicorn's.

    Messages that applications write to uvicorn's loggers appear like the server's own.
    """
    parent = server_logger(UVICORN)
    level = parent.level  # of a configuration; every logger below inherits it
    error = getattr(logging.getLogger(ERROR), "own", None)
    given = any(handler is not error for handler in parent.handlers)
    for ours, theirs in TWINS.items():
        logger, twin = logging.getLogger(ours), server_logger(theirs)
        if not isinstance(logger, ServerLogger):
            continue
        holder = twin if ours == ACCESS else parent
        own = [] if logger.own is None else [logger.own]
        if not (given or twin.handlers or holder.handlers) or holder.handlers == own:
            holder.handlers = own
            holder.propagate = not own
        for each in {holder, twin}:
            if not (each.level or level) or (ours == ERROR and config.log_level != "info"):
                each.setLevel(logger.level)
        logger.twin = twin


def log_notes(config: Config) -> None:
    """Log what a user should know about the settings, once for a service."""
    for note in config.notes:
        logging.getLogger(ERROR).warning("%s", note)


def prepare_logging(config: Config) -> None:
    """Configure logging for a server in a program of its own, unless the program has done so.

    Where the root logger has handlers, they get what the server logs.
    """
    if config.log_config is None and logging.getLogger().handlers:
        for name in (ERROR, ACCESS):
            if not logging.getLogger(name).level:
                server_logger(name).setLevel(_level(name, config))
        return
    configure_logging(config)


def _level(name: str, config: Config) -> int:
    """The level of one of our loggers.

    Lines of the access log are of level INFO, so a higher level leaves them out, as in uvicorn;
    not where they have a file or a format of their own.
    """
    level: int = TRACE if config.log_level == "trace" else _LEVELS[config.log_level.upper()]
    own = config.access_log_file != "-" or config.access_log_fields
    if name == ACCESS and (own or config.access_log_format != "auto"):
        return logging.INFO
    return max(level, logging.INFO) if name == ACCESS else level


def _error_handler(config: Config) -> logging.Handler:
    stream = cast("TextIO | None", sys.stderr)
    if stream is None:  # closed before the program started
        return logging.NullHandler()
    handler = LogHandler(stream)
    if config.log_format == "json":
        handler.setFormatter(JsonFormatter())
        handler.addFilter(RequestIdFilter())
    else:
        colours, timed = _wants_colours(config, stream), wants_time(config, stream)
        handler.setFormatter(LineFormatter(colours=colours, timed=timed))
    return handler


def _access_handler(config: Config) -> logging.Handler:
    handler: logging.Handler
    target = config.access_log_file
    stream: Any = None
    try:
        if (address := syslog_address(target)) is not None:
            return QuietSysLogHandler(address)
        stream = _standard_output() if target == "-" else FileStream(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"setting access_log_file: {target!r} cannot be opened ({reason}); "
            "use - (standard output), syslog:… or a file that can be written"
        ) from None
    if stream is None:
        return logging.NullHandler()
    handler = LogHandler(stream)
    short = preset(config) == "short" and target == "-"
    colours, timed = _wants_colours(config, stream), short and wants_time(config, stream)
    handler.setFormatter(LineFormatter(colours=colours, level=short, timed=timed))
    return handler


class StandardOutput(DescriptorStream):
    """Standard output beside what the application prints, in the order of both."""

    def flush(self, timeout: float = 0.0) -> None:
        """Write what was printed, then our lines."""
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        super().flush(timeout)


def _standard_output() -> Any:
    """A stream that never blocks, where standard output is a descriptor at all."""
    stream = cast("TextIO | None", sys.stdout)
    try:
        return stream and StandardOutput(own_end(stream.fileno()))
    except (OSError, ValueError):
        return stream


def reopen_logs() -> None:
    """Open the files of the access log again: they were moved away. One that cannot be stays."""
    for handler in logging.getLogger("katana_asgi.access").handlers:
        stream = getattr(handler, "stream", None)
        if isinstance(stream, DescriptorStream):
            try:
                stream.reopen()
            except OSError as error:
                logging.getLogger("katana_asgi.error").error(
                    "The access log cannot be reopened: %s", error
                )


def _occupy_standard_descriptors() -> None:
    """Open nothing in the place of closed standard streams.

    Else a socket would take it, and what some library prints would go to a client.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one


def _wants_colours(config: Config, stream: Any) -> bool:
    return bool(stream.isatty()) if config.use_colors is None else config.use_colors


def wants_time(config: Config, stream: Any) -> bool:
    """Whether lines begin with the time; by default where nothing else adds one.

    A journal and whatever collects the output of containers do, a file and a terminal do not.
    """
    if config.log_format != "auto":
        return config.log_format == "time"
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False  # a program has put something else in the place of its output
    if stat.S_ISREG(found.st_mode):
        return True
    return f"{found.st_dev}:{found.st_ino}" != os.environ.get("JOURNAL_STREAM") and not (
        in_container()
    )


def in_container() -> bool:
    """Whether this is a container, or a platform that collects output with the time."""
    return any(map(os.path.exists, CONTAINER_FILES)) or not os.environ.keys().isdisjoint(
        PLATFORM_VARIABLES
    )
