"""uvicorn's formatters, by the names that log configurations have."""

from __future__ import annotations

from katana_asgi.observe.logs import TRACE as TRACE_LOG_LEVEL
from katana_asgi.observe.uvicorn_format import (
    AccessFormatter,
    ColourizedFormatter,
    DefaultFormatter,
)

__all__ = ["TRACE_LOG_LEVEL", "AccessFormatter", "ColourizedFormatter", "DefaultFormatter"]
