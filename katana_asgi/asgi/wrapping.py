"""What is put around the application because a setting asks for it; nothing otherwise.

The decision is made once, when the application is loaded, so a wrapper that is off costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.config.model import Config

__all__ = ["wrap"]


def wrap(application: ASGIApplication, config: Config) -> ASGIApplication:
    """Add spans, the slow-request log and the message trace, the last one outermost.

    Raises ``StartupError`` where ``otel`` is set and its library is not installed.
    """
    if config.otel:
        from katana_asgi.asgi.spans import with_spans

        application = with_spans(application)
    if config.slow_request:
        from katana_asgi.asgi.slow_requests import with_slow_request_log

        application = with_slow_request_log(application, config.slow_request)
    if config.log_level == "trace":
        from katana_asgi.asgi.message_trace import with_message_trace

        application = with_message_trace(application)
    return application
