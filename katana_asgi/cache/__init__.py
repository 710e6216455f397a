"""Responses of the application, stored as a shared cache stores them (RFC 9111).

Off unless ``--cache`` gives it memory, and then only for what the application itself marks as
fresh and shareable. ``invalidate`` forgets responses before their time.
"""

from __future__ import annotations

from katana_asgi.cache.invalidation import invalidate

__all__ = ["invalidate"]
