"""The settings: declared once, read from flags, environment and file, checked whole."""

from __future__ import annotations

from katana_asgi.config.log_defaults import LOGGING_CONFIG

__all__ = ["LOGGING_CONFIG"]
