"""What is put around the application because a setting asks for it; nothing otherwise.

The decision is made once, when the application is loaded, so a wrapper that is off costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.asgi.answers import Answers
    from katana_asgi.asgi_types import ASGIApplication
    from katana_asgi.config.model import Config

__all__ = ["wrap"]


def wrap(
    application: ASGIApplication, config: Config, answers: Answers | None = None
) -> ASGIApplication:
    """Add what the settings ask for; what comes last here is outermost.

    ``answers`` are the files and the cache. The cache stores what is compressed already, and
    all else sees its hits as requests.
    Raises ``StartupError`` where ``otel`` is set and its library is not installed.
    """
    if config.compress:
        from katana_asgi.compress.wrapper import compressed

        application = compressed(application, config.compress_min_size, config.compress_types)
    if answers is not None and answers.cache is not None:
        from katana_asgi.cache.wrapper import Cached

        application = Cached(application, answers.cache)
    if answers is not None and answers.files is not None:
        from katana_asgi.asgi.static_files import with_static_files

        application = with_static_files(application, answers.files)
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
