"""The log configuration that programs written for uvicorn copy and change.

It has the keys of uvicorn's: formatters, handlers and loggers by the same names. Unchanged it is
not used: the server's own logs are set up by the settings.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

__all__ = ["LOGGING_CONFIG", "changed_log_config"]

_FORMATS: Final = {
    "default": ("DefaultFormatter", "%(levelprefix)s %(message)s"),
    "access": (
        "AccessFormatter",
        '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
    ),
}

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        name: {"()": f"katana_asgi.uvicorn.logging.{kind}", "fmt": text, "use_colors": None}
        for name, (kind, text) in _FORMATS.items()
    },
    "handlers": {
        name: {
            "class": "logging.StreamHandler",
            "formatter": name,
            "stream": f"ext://sys.{stream}",
        }
        for name, stream in (("default", "stderr"), ("access", "stdout"))
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
"""What a program may change in place, or copy, change and give as ``log_config``."""

_UNCHANGED: Final = deepcopy(LOGGING_CONFIG)


def changed_log_config() -> dict[str, Any] | None:
    """``LOGGING_CONFIG`` where a program has changed it, else ``None``."""
    return None if LOGGING_CONFIG == _UNCHANGED else LOGGING_CONFIG
