"""The settings of the PROXY protocol, which a balancer speaks before the first request.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from katana_asgi.config.setting import setting

__all__ = ["ProxyProtocolSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ProxyProtocolSettings:
    """PROXY protocol."""

    theme = "PROXY protocol"

    proxy_protocol: bool = setting(
        False,
        "boolean",
        "Expect a PROXY protocol header, version 1 or 2, from the proxies in forwarded-allow-ips, "
        "also at redirect-bind; other connections are served without one.",
    )
    timeout_proxy_header: float = setting(
        5.0, "duration", "Time for a trusted proxy to send its PROXY header.", minimum=0.001
    )
