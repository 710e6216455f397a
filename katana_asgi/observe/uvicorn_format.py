"""Formatters with the names and the format fields of uvicorn's, for log configurations."""

from __future__ import annotations

import copy
import logging
import sys
from typing import Any, Final, Literal

from katana_asgi.observe.access_values import phrase

__all__ = ["AccessFormatter", "ColourizedFormatter", "DefaultFormatter"]

_COLOURS: Final = {5: "34", 10: "36", 20: "32", 30: "33", 40: "31", 50: "91"}

_ACCESS_ARGUMENTS: Final = 5


class ColourizedFormatter(logging.Formatter):
    """Adds ``%(levelprefix)s``: the level, a colon and spaces, coloured if wanted."""

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
        **further: Any,
    ) -> None:
        super().__init__(fmt, datefmt, style, **further)
        self.use_colors = self.should_use_colors() if use_colors is None else use_colors

    def should_use_colors(self) -> bool:
        """Whether to colour where the configuration does not say."""
        return False

    def color_level_name(self, level_name: str, level_no: int) -> str:
        """The name of a level in its colour."""
        return f"\x1b[{_COLOURS.get(level_no, '0')}m{level_name}\x1b[0m"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line, made of a copy of the record."""
        shown = copy.copy(record)
        name = shown.levelname
        padding = " " * max(0, 8 - len(name))
        if self.use_colors:
            name = self.color_level_name(name, shown.levelno)
        shown.levelprefix = f"{name}:{padding}"
        return super().formatMessage(shown)


class DefaultFormatter(ColourizedFormatter):
    """For the server's own log, which goes to standard error."""

    def should_use_colors(self) -> bool:
        """Whether a person reads standard error."""
        return bool(sys.stderr) and sys.stderr.isatty()


class AccessFormatter(ColourizedFormatter):
    """Adds ``client_addr``, ``request_line`` and ``status_code`` of an access log record."""

    def should_use_colors(self) -> bool:
        """Whether a person reads standard output."""
        return bool(sys.stdout) and sys.stdout.isatty()

    def get_status_code(self, status_code: int) -> str:
        """A status and its phrase."""
        return f"{status_code} {phrase(status_code).decode('ascii')}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line, with what the record's arguments say."""
        shown = copy.copy(record)
        arguments = shown.args
        if isinstance(arguments, tuple) and len(arguments) == _ACCESS_ARGUMENTS:
            client, method, target, version, status = arguments
            code = status if isinstance(status, int) else 0
            shown.client_addr = client
            shown.request_line = f"{method} {target} HTTP/{version}"
            shown.status_code = self.get_status_code(code)
        return super().formatMessage(shown)
