"""The settings of the response cache.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.setting import setting

__all__ = ["CacheSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class CacheSettings:
    """Response cache"""

    theme = "Response cache"

    cache: int = setting(
        0,
        "size",
        "Memory of each worker for responses that the application marks as fresh and shareable; "
        "0 stores nothing.",
        minimum=0,
    )
    cache_max_object: int = setting(
        1024 * 1024, "size", "Largest response body that is stored.", minimum=1
    )
    cache_lock_timeout: float = setting(
        5.0,
        "duration",
        "Longest time a request waits for the response to another one like it.",
        minimum=0,
    )
    cache_status: bool = setting(
        False,
        "boolean",
        "Add a Cache-Status header that describes how the cache handled a request; it also "
        "reveals what others have requested.",
    )
