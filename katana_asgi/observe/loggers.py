"""The loggers of the server, and their twins with uvicorn's names.

Applications and log configurations that were written for uvicorn set handlers, filters and levels
on ``uvicorn.access`` and ``uvicorn.error``. Each of our loggers obeys its twin as well: a record
has to pass both, and goes to the handlers of both.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACCESS", "ERROR", "TWINS", "ServerLogger", "server_logger"]

ERROR: Final = "katana_asgi.error"
ACCESS: Final = "katana_asgi.access"

TWINS: Final = {ERROR: "uvicorn.error", ACCESS: "uvicorn.access"}
"""uvicorn's name for each of our loggers."""


class ServerLogger(logging.Logger):
    """A logger that is not silenced by a configuration of other loggers, and that has a twin.

    ``own`` is the handler that the server installed, if it did: where either of the twins has
    lost it, it is not used.
    """

    twin: logging.Logger | None = None
    own: logging.Handler | None = None
    _silenced = False

    @property
    def disabled(self) -> bool:
        """Whether the logger drops every record.

        ``dictConfig`` and ``fileConfig`` disable all loggers that they do not name. That is not
        meant for the server, whose errors would vanish; an application may still disable it.
        """
        return self._silenced

    @disabled.setter
    def disabled(self, value: bool) -> None:
        """Disable the logger, unless it is done to all that a configuration does not name."""
        if value and sys._getframe(1).f_globals.get("__name__") == "logging.config":
            return
        self._silenced = bool(value)

    def handle(self, record: logging.LogRecord) -> None:
        """Give a record that passes the filters of both twins to the handlers of both."""
        twin = self.twin
        if twin is None:
            super().handle(record)
            return
        for logger in (self, twin):
            if logger.disabled or not logger.isEnabledFor(record.levelno):
                return
            passed: object = logger.filter(record)
            if not passed:
                return
            if isinstance(passed, logging.LogRecord):  # since Python 3.12
                record = passed
        # A logger of the library's own, because tools such as Sentry replace its callHandlers.
        both = logging.Logger(self.name)
        both.handlers = self._handlers(twin)
        both.callHandlers(record)

    def _handlers(self, twin: logging.Logger) -> list[logging.Handler]:
        ours, theirs = list(_chain(self)), list(_chain(twin))
        unused: set[logging.Handler | None] = set()
        if self.own is not None and not (self.own in ours and self.own in theirs):
            unused.add(self.own)
        if self.name == ACCESS:  # the twin hands on to uvicorn's parent, which has this one
            unused.add(getattr(server_logger(ERROR), "own", None))
        return [each for each in dict.fromkeys((*ours, *theirs)) if each not in unused]


def server_logger(name: str) -> logging.Logger:
    """The logger ``name`` as a ``ServerLogger``, unless the program has a class of its own."""
    logger = logging.getLogger(name)
    if type(logger) is logging.Logger:
        silenced = logger.__dict__.pop("disabled", False)
        logger.__class__ = ServerLogger
        logger.disabled = silenced
    return logger


# From the first import on: what a program configures before it serves must not silence them.
for _name in TWINS:
    server_logger(_name)


def _chain(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that a record of ``logger`` reaches."""
    each: logging.Logger | None = logger
    while each is not None:
        yield from each.handlers
        each = each.parent if each.propagate else None
