"""Log records as JSON, one object a line, an exception's traceback inside it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from katana_asgi.observe.access_record import ACCESS_ATTRIBUTES, AccessRecord

__all__ = ["JsonFormatter"]


class JsonFormatter(logging.Formatter):
    """``{"time": …, "level": …, "logger": …, "message": …, "pid": …}`` and what else there is.

    That is ``request_id`` and ``trace_id`` within a request (``RequestIdFilter`` puts them into
    the record), what an access log record says of its request, ``exception`` with a traceback,
    and ``stack``. For ``--log-config`` too.
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
        is_access = isinstance(record, AccessRecord)
        for name in ACCESS_ATTRIBUTES if is_access else ("request_id", "trace_id"):
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)
