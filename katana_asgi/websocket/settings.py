"""What WebSockets take from the configuration, once per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.websocket.deflate import DeflateSettings

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["WebSocketSettings"]


class WebSocketSettings:
    """Timeouts in seconds, sizes in bytes; 0 is no limit."""

    __slots__ = (
        "allowed_origins",
        "deflate",
        "max_fragments",
        "max_queue",
        "max_size",
        "ping_interval",
        "ping_timeout",
        "timeout_close",
        "timeout_handshake",
        "timeout_idle",
        "timeout_shutdown",
    )

    def __init__(self, config: Config) -> None:
        self.max_size = config.ws_max_size
        self.max_fragments = config.ws_max_fragments
        self.max_queue = config.ws_max_queue
        self.ping_interval = config.ws_ping_interval
        self.ping_timeout = config.ws_ping_timeout or config.ws_ping_interval
        self.timeout_handshake = config.timeout_ws_handshake
        self.timeout_idle = config.timeout_ws_idle
        self.timeout_close = config.timeout_ws_close
        self.timeout_shutdown = config.timeout_ws_shutdown
        self.deflate = DeflateSettings() if config.ws_per_message_deflate else None
        self.allowed_origins = frozenset(
            origin.lower().encode("latin-1") for origin in config.ws_allow_origin
        )
