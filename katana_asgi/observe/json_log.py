"""Log records as JSON, one object a line, an exception's traceback inside it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["JsonFormatter"]


class JsonFormatter(logging.Formatter):
    """``{"time": …, "level": …, "logger": …, "message": …, "pid": …}`` and what else there is.

    That is ``request_id`` and ``trace_id`` within a request (``RequestIdFilter`` puts them into
    the record), ``exception`` with a traceback, and ``stack``. For ``--log-config`` too.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, in ASCII."""
        moment = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        for name in ("request_id", "trace_id"):
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)
