"""The applications wrapped for granian, whose manual leaves the fields of a proxy to a wrapper.

``benchmarks.apps.behind_proxy:plain`` is ``benchmarks.apps.plain:app``, wrapped.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    wrap = importlib.import_module("granian.utils.proxies").wrap_asgi_with_proxy_headers
    return wrap(importlib.import_module(f"benchmarks.apps.{name}").app, trusted_hosts="127.0.0.1")
