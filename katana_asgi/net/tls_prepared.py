"""What the workers of one service share: made before they are forked, found by each of them.

A session ticket (RFC 8446 §4.6.1) opens at every worker, because the keys are in the context.
Where nothing was prepared, or for other settings, a server makes its own.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.config.directory import in_directory
from katana_asgi.net.redirect_sockets import redirects_shared
from katana_asgi.net.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from katana_asgi.config.model import Config

__all__ = ["keep_up", "prepared", "tls_for"]

_shared: Final[dict[str, Tls]] = {}

logger = logging.getLogger("katana_asgi.error")


@contextmanager
def prepared(config: Config) -> Iterator[None]:
    """Have ready what workers share, for those that are forked inside the block.

    Raises ``ConfigurationError`` for certificates that cannot be used, and ``StartupError``
    where the address for redirects cannot be bound.
    """
    if config.ssl_certfile is not None:
        _shared["tls"] = Tls(config)
    try:
        if config.redirect_bind:
            with redirects_shared(config) as where:
                logger.info("Redirecting from %s", where)
                yield
        else:
            yield
    finally:
        _shared.clear()


def keep_up(config: Config, start: str, *, at_once: bool) -> None:
    """Where workers are forked: have ready for the next what the present ones use by now.

    Else a worker that starts while the files are unusable would have those of the first start,
    which may have expired. ``start`` is the directory the service was started in.
    """
    shared = _shared.get("tls")
    if shared is not None:
        with suppress(OSError), in_directory(config.chdir or start):
            shared.keep_up(at_once=at_once)


def tls_for(config: Config) -> Tls | None:
    """The TLS of a server, ``None`` for plain HTTP. Raises ``ConfigurationError``.

    A worker that starts when the files have become unusable goes on with what was prepared.
    """
    if config.ssl_certfile is None:
        return None
    shared = _shared.get("tls")
    if shared is None or not shared.serves(config):
        return Tls(config)
    shared.refresh()
    return shared
