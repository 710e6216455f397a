"""When a worker has done enough: requests, age, memory, each a little different by chance.

Workers that started together would otherwise leave together.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from katana_asgi.observe.process import resident_bytes

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["Recycling"]


class Recycling:
    """The limits of one worker, with their jitter, counted from now."""

    def __init__(self, config: Config) -> None:
        jitter = config.recycle_jitter / 100
        # Jitter, not security: no cryptographic randomness needed.
        more = 1 + random.uniform(0, jitter)  # noqa: S311 - see above
        self._requests = int(config.limit_max_requests * more)
        if config.limit_max_requests and config.limit_max_requests_jitter:
            further = random.randint(0, config.limit_max_requests_jitter)  # noqa: S311 - see above
            self._requests = config.limit_max_requests + further
        self._memory = int(config.max_worker_memory * more)
        age = config.max_worker_age * more
        self._end = time.monotonic() + age if age else float("inf")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._requests or self._memory or self._end != float("inf"))

    def reason(self, requests: int) -> str | None:
        """Why the worker has to be replaced, for the log; ``None``: it need not."""
        if self._requests and requests >= self._requests:
            return f"served {requests} requests"
        if time.monotonic() >= self._end:
            return "reached its age"
        if self._memory and (memory := resident_bytes()) >= self._memory:
            return f"uses {memory / 2**20:.0f} MiB of memory"
        return None
